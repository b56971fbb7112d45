"""Benchmarks of the main job, each a ratio taken in one run, both sides in turn.

    PYTHONPATH=. python tests/benchmarks/main_job.py [--only NAME ...] [--quick]

Prints a table and merges it into tests/benchmarks/results/main_job.json. Takes about twenty minutes on two idle
cores. `--quick` only shows that everything works: its numbers mean nothing and are not recorded.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.demo import demo_scores, generate_memory, generate_speed, train_speed
from tests.benchmarks.record import ROOT, Figure, provenance, save, table
from tests.benchmarks.workspace import QUICK, Sizes, Workspace

NAMES = (
    "ray_train_vs_torchrun",
    "ray_generate_vs_loop",
    "two_workers_vs_one",
    "generate_memory_20k_vs_2k",
    *demo_scores.NAMES,
)
RESULTS = ROOT / "tests/benchmarks/results/main_job.json"
BUSY_LOAD = 0.5


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(NAMES), help="a figure to measure; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing recorded")
    given = parser.parse_args()
    wanted = set(given.only or NAMES)
    only = "".join(f" --only {name}" for name in given.only or [])
    about = provenance(f"PYTHONPATH=. python tests/benchmarks/main_job.py{only}" if only else "make bench")
    if about["load_average_before"][0] > BUSY_LOAD:
        print(f"this machine is busy: load average {about['load_average_before'][0]}; ratios will scatter")
    figures = measure(wanted, QUICK if given.quick else Sizes())
    print()
    print(table(figures))
    if not given.quick:
        save(RESULTS, figures, about)
        if wanted & set(demo_scores.NAMES):
            demo_scores.keep_contact_sheet(RESULTS.parent)
        print(f"\n{RESULTS.relative_to(ROOT)}, commit {about['commit']}")


def measure(wanted: set[str], sizes: Sizes) -> list[Figure]:
    """The wanted figures, each group in a folder of its own that is removed afterwards."""
    groups: list[tuple[set[str], Callable[[Workspace], list[Figure]]]] = [
        ({"ray_train_vs_torchrun"}, train_speed.measure),
        (
            set(generate_speed.FIGURES),
            lambda workspace: generate_speed.measure(workspace, wanted & set(generate_speed.FIGURES)),
        ),
        ({"generate_memory_20k_vs_2k"}, generate_memory.measure),
    ]
    figures = []
    for names, act in groups:
        if wanted & names:
            print(", ".join(sorted(wanted & names)), flush=True)
            with tempfile.TemporaryDirectory(prefix="ganrnn-bench-") as folder:
                figures += act(Workspace(Path(folder), sizes))
    return figures + demo_scores.read(wanted & set(demo_scores.NAMES))


if __name__ == "__main__":
    main()
