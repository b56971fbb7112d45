"""Measurements of the project's own house: how long a person waits for help and refusals.

    PYTHONPATH=. python tests/benchmarks/house.py --only help_seconds

Figures are recorded in tests/benchmarks/results/house.json.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import refusal_in_step
from tests.benchmarks.record import ROOT, Figure, digits, run_groups, spread

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


GROUPS = {"help_seconds": help_seconds, "refusal_in_step_seconds": refusal_in_step.figures}


if __name__ == "__main__":
    run_groups(Path(__file__), __doc__ or "", GROUPS, list(GROUPS))
