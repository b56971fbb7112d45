"""Generation at scale: planning, memory, resuming and verifying a million rows, peers, an S3 server.

    PYTHONPATH=. python tests/benchmarks/scale.py [--only NAME ...] [--quick]        (make bench-scale)

Prints a table and merges it into tests/benchmarks/results/scale.json, beside what `make faults` leaves there. `--quick`
only shows that everything works and records nothing.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.at_scale import scale_million, scale_peers, scale_plan, scale_s3
from tests.benchmarks.at_scale.scale_sizes import QUICK, ScaleSizes
from tests.benchmarks.record import ROOT, Figure, provenance, save, table
from tests.benchmarks.workspace import Workspace

RESULTS = ROOT / "tests/benchmarks/results/scale.json"
GROUPS: dict[str, tuple[set[str], Callable[[Workspace, ScaleSizes], list[Figure]]]] = {
    "plan": ({"planned_rows_max"}, scale_plan.measure),
    "million": ({"memory_1m_vs_10k"}, scale_million.measure),
    "resume": ({"resume_90_vs_full"}, scale_million.measure_resume),
    "peers": ({"generate_vs_loop", "generate_vs_ray_write"}, scale_peers.measure),
    "s3": ({"s3_vs_local"}, scale_s3.measure),
}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(GROUPS), help="a group of figures; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing recorded")
    given = parser.parse_args()
    only = "".join(f" --only {name}" for name in given.only or [])
    about = provenance(f"PYTHONPATH=. python tests/benchmarks/scale.py{only}")
    figures: list[Figure] = []
    for name in given.only or GROUPS:
        print(", ".join(sorted(GROUPS[name][0])), flush=True)
        with tempfile.TemporaryDirectory(prefix="ganrnn-bench-") as folder:
            sizes = QUICK if given.quick else ScaleSizes()
            made = GROUPS[name][1](Workspace(Path(folder), sizes.speed), sizes)
        if not given.quick:
            save(RESULTS, made, about)  # after each group, since all of them take long
        figures += made
    print()
    print(table(figures))


if __name__ == "__main__":
    main()
