"""Figures of `make demo`: how long it took and what its pictures score, read from the files it left."""

import json
import shutil
from pathlib import Path

from tests.benchmarks.record import ROOT, Figure, digits

FOLDER = ROOT / "runs/demo"
ACCURACIES = {name: f"{name}_accuracy" for name in ("colour", "background", "size", "position", "shape")}
NAMES = ("demo_seconds", *ACCURACIES, "r_precision_100")


def read(wanted: set[str]) -> list[Figure]:
    """The wanted ones of NAMES, as far as the demo was run."""
    figures = []
    for file, needed in (("demo.json", {"demo_seconds"}), ("report.json", wanted - {"demo_seconds"})):
        if not wanted & needed:
            continue
        if not (FOLDER / file).exists():
            print(f"  runs/demo/{file} is not there: run `make demo` first for {', '.join(sorted(wanted & needed))}")
            continue
        content = json.loads((FOLDER / file).read_text())
        if file == "demo.json":
            figures.append(Figure("demo_seconds", digits(content["seconds"]), {"read_from": f"runs/demo/{file}"}))
            continue
        for name in NAMES:
            if name in needed:
                metric = ACCURACIES.get(name, name)
                details = {
                    "read_from": f"runs/demo/{file}",
                    "metric": metric,
                    "code_revision": content["code_revision"],
                    "counts": content["counts"],
                    "interval": content["intervals"].get(metric),
                    "floor": content["floors"].get(metric),
                }
                figures.append(Figure(name, digits(content["metrics"][metric]), details))
    return figures


def keep_contact_sheet(folder: Path) -> None:
    """Copy the demo's contact sheet, which the README shows, to the figures that belong to it."""
    if (FOLDER / "contact_sheet.png").exists():
        shutil.copyfile(FOLDER / "contact_sheet.png", folder / "contact_sheet.png")
