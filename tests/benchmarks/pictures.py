"""What the pictures of `make demo` are worth, read from the report it left in runs/demo.

    make demo && PYTHONPATH=. python tests/benchmarks/pictures.py       (make bench-pictures)

Figures are recorded in tests/benchmarks/results/pictures.json.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.demo.demo_scores import FOLDER, keep_contact_sheet
from tests.benchmarks.record import Figure, digits, run_groups

FIGURES = {
    "demo_r_precision_100": "r_precision_100",
    "demo_diversity_given_prompt": "diversity_given_prompt_pixels",
    "demo_coverage_given_prompt": "coverage_given_prompt_pixels",
    "demo_precision": "precision2k_indomain",
    "demo_recall": "recall2k_indomain",
    "demo_other_colour": "other_colour_accuracy",
}


def demo() -> list[Figure]:
    """One demo's figures; `demo_fid_over_floor` is its in-domain FID over that of real pictures of its prompts."""
    report = json.loads((FOLDER / "report.json").read_text())
    metrics, floors = report["metrics"], report["floors"]
    details: dict[str, Any] = {"read_from": "runs/demo/report.json", "code_revision": report["code_revision"]}
    whole = details | {"metrics": metrics, "floors": floors, "counts": report["counts"]}
    figures = []
    for name, metric in FIGURES.items():
        own = {"metric": metric, "interval": report["intervals"].get(metric), "floor": floors.get(metric)}
        figures.append(
            Figure(name, digits(metrics[metric]), (whole if name == "demo_r_precision_100" else details) | own)
        )
    fid = {"metric": "fid2k_indomain", "value": metrics["fid2k_indomain"], "floor": floors["fid2k_indomain"]}
    figures.append(Figure("demo_fid_over_floor", digits(fid["value"] / fid["floor"]), details | fid))
    keep_contact_sheet(Path(__file__).parent / "results")
    return figures


GROUPS: dict[str, Callable[[], list[Figure]]] = {"demo": demo}


if __name__ == "__main__":
    run_groups(Path(__file__), __doc__ or "", GROUPS, list(GROUPS))
