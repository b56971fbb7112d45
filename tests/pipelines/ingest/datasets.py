"""Small sources for the tests of ingest, and ways to look at the dataset made from them."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.config.recipe import Recipe

SPLITS = ("train", "val", "test")
COLOURS = ["red", "green", "blue", "yellow", "cyan", "white"]


def recipe(folder: Path, seed: int = 0, **settings: Any) -> Recipe:
    settings = {"source": "parquet", "height": 16, "width": 16, "holdout_share": 0.5, **settings}
    return Recipe("test", str(folder / "run"), task=None, seed=seed, ingest=IngestConfig(**settings)).resolved()


def png(colour: str, shade: int = 0, size: tuple[int, int] = (16, 16)) -> bytes:
    picture = Image.new("RGB", size, colour)
    picture.putpixel((0, 0), (shade % 256, shade // 256, 0))
    data = io.BytesIO()
    picture.save(data, format="PNG")
    return data.getvalue()


def rows(num: int = 60, **columns: Iterable[Any]) -> dict[str, list[Any]]:
    """`num` different pictures with captions, further columns or other ones in their place."""
    images = [{"bytes": png(COLOURS[i % 6], i), "path": None} for i in range(num)]
    texts = [f"a {COLOURS[i % 6]} picture {i}" for i in range(num)]
    return {
        "id": [f"r{i}" for i in range(num)],
        "image": images,
        "text": texts,
        **{k: list(v) for k, v in columns.items()},
    }


def write(path: Path, columns: dict[str, list[Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def read(made: Recipe, split: str) -> list[dict[str, Any]]:
    uris = storage.list_files(storage.join(made.ingest.dataset_uri, split))
    found: list[dict[str, Any]] = storage.read_table(uris).to_pylist()
    return found


def rejects(made: Recipe) -> dict[str, str]:
    table = storage.read_table([f"{made.ingest.dataset_uri}/rejects.parquet"])
    return {row["id"] or row["place"]: row["reason"] for row in table.to_pylist()}


def files(made: Recipe) -> dict[str, bytes]:
    root = Path(made.ingest.dataset_uri)
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
