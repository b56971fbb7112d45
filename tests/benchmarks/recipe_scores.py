"""The scores of the image recipes: each is run from ingest to promote, as far as that has not been done, and read.

Runs lie in runs/ as for anyone. CIFAR-10 by class is among them where CIFAR10 names the folder of its train.parquet and
val.parquet.
"""

import os
import subprocess
import sys
from typing import Any

from record import ROOT, Figure, digits

from pipelines import storage
from pipelines.config import load_recipe

RECIPES = ("scene_edits", "scene_styles", "panoramas", "scene_attributes")
FAILED_THRESHOLD = 3


def measure() -> list[Figure]:
    """Every recipe, and the figures that are goals."""
    reports = {name: _report(name, []) for name in RECIPES}
    edits, panoramas = reports["scene_edits"], reports["panoramas"]
    figures = [
        Figure("edit_changed", edits["metrics"]["edit_changed"], {"reports": reports}),
        Figure("edit_kept", edits["metrics"]["edit_kept"], {}),
        Figure("seam_vs_interior", panoramas["metrics"]["seam_vs_interior"], panoramas),
    ]
    if folder := os.environ.get("CIFAR10"):
        settings = [f"ingest.source_uri={folder}/train.parquet", f"ingest.holdout_uri={folder}/val.parquet"]
        cifar10 = _report("cifar10_classes", settings)
        (name,) = [name for name in cifar10["metrics"] if name.startswith("fid")]
        figures.append(Figure("fid_cifar10_indomain", cifar10["metrics"][name], cifar10))
        figures.append(Figure("fid_cifar10_floor", cifar10["floors"][name], {}))
    return figures


def _report(name: str, settings: list[str]) -> dict[str, Any]:
    """What a recipe's report says in numbers."""
    path = f"jobs/recipes/{name}.yaml"
    words = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run([sys.executable, "-m", "jobs.nightly", path, *words], cwd=ROOT, check=False)
    if done.returncode not in (0, FAILED_THRESHOLD):
        raise SystemExit(f"{path} ended with exit code {done.returncode}")
    held = storage.read_json(f"{load_recipe(path, settings).evaluate.report_uri}/report.json")
    kinds = ("metrics", "floors")
    return {kind: {metric: digits(value) for metric, value in held[kind].items()} for kind in kinds}
