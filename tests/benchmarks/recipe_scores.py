"""The scores of the image recipes: each is run from ingest to promote, as far as that has not been done, and read.

Runs lie in runs/ as for anyone. CIFAR-10 by class asks for CIFAR10, the folder of its train.parquet and val.parquet.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pipelines import storage
from pipelines.config.loader import load_recipe
from tests.benchmarks.record import ROOT, Figure, digits, recipe_path

FAILED_THRESHOLD = 3


def edits() -> list[Figure]:
    """Was done what was asked, and nothing else?"""
    held = report("scene_edits", [])
    return [Figure(name, held["metrics"][name], held) for name in ("edit_changed", "edit_kept")]


def styles() -> list[Figure]:
    """The same without pairs, by style."""
    held = report("scene_styles", [])
    return [Figure(f"style_{name}", held["metrics"][f"edit_{name}"], held) for name in ("changed", "kept")]


def panoramas() -> list[Figure]:
    """The step at the seam beside those inside."""
    held = report("panoramas", [])
    return [Figure(name, held["metrics"][name], held) for name in ("seam_vs_interior", "object_accuracy")]


def attributes() -> list[Figure]:
    """Pictures by a table of attributes."""
    held = report("scene_attributes", [])
    names = [name for name in held["metrics"] if name.endswith("_accuracy")]
    return [Figure("attributes_least_accuracy", min(held["metrics"][name] for name in names), held)]


def cifar10() -> list[Figure]:
    """Photographs by class: distance from real ones, and that of real ones from each other."""
    if not (folder := os.environ.get("CIFAR10")):
        raise SystemExit(f"set CIFAR10: {' '.join((__doc__ or '').split())}")
    settings = [f"ingest.source_uri={folder}/train.parquet", f"ingest.holdout_uri={folder}/val.parquet"]
    held = report("cifar10_classes", settings)
    (name,) = [name for name in held["metrics"] if name.startswith("fid")]
    return [
        Figure("fid_cifar10_indomain", held["metrics"][name], held),
        Figure("fid_cifar10_floor", held["floors"][name], {}),
    ]


GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "edits": edits,
    "styles": styles,
    "panoramas": panoramas,
    "attributes": attributes,
    "cifar10": cifar10,
}


def data_folder() -> str:
    """Where data sets lie that are not in this repository, each in a folder of its own."""
    if not (folder := os.environ.get("DATA")):
        raise SystemExit("set DATA: a folder of data sets, each in a folder of the recipe's name")
    return folder


def report(name: str, settings: Sequence[str]) -> dict[str, Any]:
    """What a recipe's report says in numbers, after all of its steps that have not been done."""
    path = recipe_path(name)
    words = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run([sys.executable, "-m", "jobs", "nightly", path, *words], cwd=ROOT, check=False)
    if done.returncode not in (0, FAILED_THRESHOLD):
        raise SystemExit(f"{path} ended with exit code {done.returncode}")
    held = storage.read_json(f"{load_recipe(path, settings).evaluate.report_uri}/report.json")
    kinds = ("metrics", "floors")
    numbers: dict[str, Any] = {kind: {name: digits(value) for name, value in held[kind].items()} for kind in kinds}
    numbers["intervals"] = {name: [digits(value) for value in both] for name, both in held["intervals"].items()}
    return numbers | {"signatures": held["signatures"]} if "signatures" in held else numbers
