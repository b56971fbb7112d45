"""Defects planted in pictures, and which score notices them.

Scenes of the demo's test split stand in for samples, a thousand at a time: five draws that are sound, then one for each
defect. A score has noticed a defect when it lies outside what it was of the sound draws by more than their whole range.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from ganrnn.data.images import encode_png, to_tensor
from ganrnn.noise import permutation
from pipelines import storage
from pipelines.cluster.session import session
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.formats.manifest import MANIFEST
from pipelines.ingest.driver import ingest
from tests.benchmarks.record import ROOT, Figure, digits

NUM_SAMPLES, NUM_SOUND = 1_000, 5
Rows = list[dict[str, Any]]


def planted() -> list[Figure]:
    """How many defects there are and how many were noticed; by which scores stands in the details."""
    recipe = load_recipe(str(ROOT / "jobs/recipes/demo.yaml"), [])
    ingest(recipe)
    test, train = (rows_of(recipe, split) for split in ("test", "train"))
    with TemporaryDirectory() as folder, session():
        sound = [_scores(recipe, Path(folder) / f"sound-{seed}", _drawn(test, seed)) for seed in range(NUM_SOUND)]
        found = {
            name: _scores(recipe, Path(folder) / name, plant(_drawn(test, NUM_SOUND), test, train))
            for name, plant in DEFECTS.items()
        }
    ranges = {name: (min(one[name] for one in sound), max(one[name] for one in sound)) for name in sound[0]}
    table: dict[str, dict[str, list[float]]] = {}
    for defect, scores in found.items():
        moved = {}
        for name, (low, high) in ranges.items():
            value, width = scores.get(name, np.nan), high - low
            if not low - width <= value <= high + width:
                moved[name] = [digits(low), digits(high), digits(value)]
        table[defect] = moved
        print(f"  {defect}: {', '.join(f'{n} {v[2]:g} ({v[0]:g} .. {v[1]:g})' for n, v in moved.items())}", flush=True)
    noticed = sum(bool(moved) for moved in table.values())
    return [Figure("defects_planted", len(DEFECTS), {}), Figure("defects_noticed", noticed, {"moved": table})]


def rows_of(recipe: Recipe, split: str) -> Rows:
    """What a picture can be a sample with, of a split of the recipe's data."""
    uri = recipe.ingest.dataset_uri
    names = ["id", "image", "text", "attributes"]
    rows: Rows = storage.read_table(shard_uris(uri, read_manifest(uri), split), names).to_pylist()
    return rows


def _drawn(rows: Rows, seed: int) -> Rows:
    return [rows[i] for i in permutation(len(rows), seed, "defects")[:NUM_SAMPLES]]


def _scores(recipe: Recipe, folder: Path, rows: Rows) -> dict[str, float]:
    """What evaluate says of rows as if they were samples."""
    as_samples(rows, f"{folder}/samples")
    places = [f"generate.samples_uri={folder}/samples", f"evaluate.report_uri={folder}"]
    held = evaluate(load_recipe(str(ROOT / "jobs/recipes/demo.yaml"), places)).to_json()
    return {name: value for name, value in held["metrics"].items() if not name.endswith("_std")}


def as_samples(rows: Rows, uri: str, row_group_rows: int = 512) -> None:
    """Rows of a data set as a folder of samples."""
    columns = {
        "sample_id": [f"{number:06d}/0" for number in range(len(rows))],
        "prompt": [row["text"] for row in rows],
        "image": [row["image"] for row in rows],
    }
    table = pa.table(columns).append_column(
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
        pa.array([row["attributes"] for row in rows], pa.map_(pa.string(), pa.string())),
    )
    digest = storage.commit_table(f"{uri}/0.parquet", table, row_group_rows)
    shards = [{"uri": "0.parquet", "rows": len(rows), "sha256": digest}]
    inputs = {"prompts_digest": digest}
    storage.commit_json(f"{uri}/{MANIFEST}", {"model_digest": digest, "inputs": inputs, "shards": shards})


def shuffled_captions(rows: Rows, test: Rows, train: Rows) -> Rows:
    """A tenth of the pictures under each other's captions."""
    few = rows[: len(rows) // 10]
    turned = [{**row, "image": other["image"]} for row, other in zip(few, [*few[1:], few[0]], strict=True)]
    return [*turned, *rows[len(few) :]]


def duplicates(rows: Rows, test: Rows, train: Rows) -> Rows:
    """A tenth of them twice, captions and all."""
    few = rows[: len(rows) // 10]
    return [*few, *few, *rows[2 * len(few) :]]


def dropped_class(rows: Rows, test: Rows, train: Rows) -> Rows:
    """No red picture; others in their place."""
    kept = [row for row in rows if dict(row["attributes"]).get("colour") != "red"]
    spare = [row for row in test if dict(row["attributes"]).get("colour") != "red" and row not in kept]
    return [*kept, *spare[: len(rows) - len(kept)]]


def memorised(rows: Rows, test: Rows, train: Rows) -> Rows:
    """A tenth of them are training pictures."""
    few = len(rows) // 10
    return [*train[:few], *rows[few:]]


def blurred(rows: Rows, test: Rows, train: Rows) -> Rows:
    """Each pixel the mean of nine."""
    pixels = to_tensor([row["image"]["bytes"] for row in rows]).numpy().astype(np.float64)
    padded = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = pixels.shape[2:]
    parts = [padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    soft = np.rint(np.mean(parts, axis=0)).astype(np.uint8).transpose(0, 2, 3, 1)
    return [{**row, "image": {"bytes": encode_png(one), "path": ""}} for row, one in zip(rows, soft, strict=True)]


DEFECTS: dict[str, Callable[[Rows, Rows, Rows], Rows]] = {
    one.__name__: one for one in (shuffled_captions, duplicates, dropped_class, memorised, blurred)
}
