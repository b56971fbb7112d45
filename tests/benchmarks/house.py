"""Measurements of the project itself: its layout, the minutes of its tests, the seconds of help and of refusals.

    PYTHONPATH=. python tests/benchmarks/house.py --only help_seconds --only layout

`ci_minutes` takes as long as all tests do; `make mutants` records two figures more.

Figures are recorded in tests/benchmarks/results/house.json.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks import refusal_in_step
from tests.benchmarks.record import ROOT, Figure, digits, run_groups, spread
from tests.structure import findability, hand_overs
from tests.structure import layout as folders

REPEATS = 10
# Figure -> arguments of the command line and its exit code.
COMMANDS = {
    "help_seconds": (["--help"], 0),
    "refusal_seconds": (["train", "demo", "--sett", "train.num_workers=1"], 2),
    "keys_seconds": (["keys"], 0),
}


def help_seconds() -> list[Figure]:
    """The median time of help, of a refusal of arguments and of the list of keys, the commands in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, (arguments, code) in COMMANDS.items():
            times[name].append(_times(arguments, code))
    return [_figure(name, *zip(*times[name], strict=True)) for name in COMMANDS]


def _times(arguments: Sequence[str], code: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds of `python -m jobs` with these arguments."""
    cpu, begin = _children_seconds(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "jobs", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stderr}"
    return seconds, _children_seconds() - cpu


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _figure(name: str, seconds: Sequence[float], cpu_seconds: Sequence[float]) -> Figure:
    details = {
        "meaning": f"seconds of `ganrnn {' '.join(COMMANDS[name][0])}`, the median of {REPEATS} runs",
        "spread": spread(seconds),
        "cpu_seconds": spread(cpu_seconds),
    }
    return Figure(name, digits(statistics.median(seconds)), details)


def layout() -> list[Figure]:
    """Folders, documents and hand-overs counted, and how many of twenty changes are found in two openings."""
    widths = folders.widths(folders.tracked("*.py"))
    widest = max(widths, key=lambda folder: (widths[folder], folder))
    circles = {package: folders.circle(folders.folder_imports(package)) for package in folders.PACKAGES}
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    search = {"by_a_search_over_paths": findability.found_by_search()}
    return [
        Figure("widest_folder", float(widths[widest]), {"folder": widest}),
        Figure("folder_circles", float(sum(map(bool, circles.values()))), {}),
        Figure("untyped_hand_overs", float(len(hand_overs.REASONS)), {"meaning": "each has its reason"}),
        Figure("readme_lines", float(len(lines)), {}),
        Figure("found_in_two_openings", float(findability.found_by_reader()), search),
    ]


def _minutes(name: str, *command: str) -> list[Figure]:
    """Minutes of a command that has to succeed, from a ready environment."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True)
    minutes = digits((time.perf_counter() - begin) / 60)
    return [Figure(name, minutes, {"meaning": f"minutes of `{' '.join(command)}`"})]


GROUPS = {
    "layout": layout,
    "help_seconds": help_seconds,
    "refusal_in_step_seconds": refusal_in_step.figures,
    "test_minutes": partial(_minutes, "test_minutes", "make", "test"),
    "ci_minutes": partial(_minutes, "ci_minutes", "bash", ".ci/run"),
}


if __name__ == "__main__":
    run_groups(Path(__file__), __doc__ or "", GROUPS, list(GROUPS))
