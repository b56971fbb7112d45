"""What the pictures of `make demo` are worth, read from the report it left in runs/demo, and how fast they are learnt.

    make demo && PYTHONPATH=. python tests/benchmarks/pictures.py       (make bench-pictures)

Figures are recorded in tests/benchmarks/results/pictures.json.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganrnn import cpu
from ganrnn.networks.images.palette_generator import STYLE_GENERATORS
from tests.benchmarks.demo.demo_scores import FOLDER, keep_contact_sheet
from tests.benchmarks.gans import collapses, demo_step
from tests.benchmarks.record import Figure, digits, ratio_figure, run_groups

FIGURES = {
    "demo_r_precision_100": "r_precision_100",
    "demo_diversity_given_prompt": "diversity_given_prompt_pixels",
    "demo_coverage_given_prompt": "coverage_given_prompt_pixels",
    "demo_centroid_spread": "spread_centroid",
    "demo_background_spread": "spread_background",
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


def generators() -> list[Figure]:
    """Pictures per second, forwards and backwards, of `style_palette` over those of `style`, as large as the demo's."""
    cpu.prepare(1)
    networks = {name: kind(32, 32, 32, 128, 128, 16) for name, kind in STYLE_GENERATORS.items()}
    for network in networks.values():
        _seconds(network)  # warms up
    ratios = [_seconds(networks["style"]) / _seconds(networks["style_palette"]) for _ in range(7)]
    return [ratio_figure("palette_vs_style", ratios, "pictures per CPU second over those of style", {"rows": 64})]


def _seconds(generator: nn.Module, num_steps: int = 20, num_rows: int = 64) -> float:
    """CPU seconds of some passes forwards and backwards."""
    started = time.process_time()
    for _ in range(num_steps):
        generator(torch.randn(num_rows, 32), torch.randn(num_rows, 128)).square().mean().backward()
    return time.process_time() - started


GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "demo": demo,
    "generators": generators,
    "peak": demo_step.measure,
    "guard": collapses.notice,
}


if __name__ == "__main__":
    run_groups(Path(__file__), __doc__ or "", GROUPS, list(GROUPS))
