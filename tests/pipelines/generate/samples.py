"""Prompts to generate from and the samples of a folder, for the tests of generation."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from tests.pipelines import tiny

Columns = dict[str, list[Any]]


def prompts_of(num: int, **columns: list[Any]) -> Columns:
    """Columns of a prompt set: ids p000 and up, three texts in turn."""
    texts = ["a small red circle at the left", "黑色背景上有一个大的蓝色正方形", "a word that nobody taught"]
    return {
        "prompt_id": [f"p{i:03d}" for i in range(num)],
        "prompt": [texts[i % 3] for i in range(num)],
        **columns,
    }


def write(path: Path, columns: Columns, schema: dict[str, pa.DataType] | None = None) -> str:
    """A Parquet file of columns; returns its URI."""
    arrays = {name: pa.array(values, (schema or {}).get(name)) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path, row_group_size=7)
    return str(path)


def samples(folder: str | Path) -> list[dict[str, Any]]:
    """All rows that the manifest counts, in order."""
    manifest = storage.read_json(f"{folder}/manifest.json")
    uris = [f"{folder}/{shard['uri']}" for shard in manifest["shards"]]
    rows: list[dict[str, Any]] = storage.read_table(uris).to_pylist()
    assert len(rows) == manifest["totals"]["samples"] == sum(shard["rows"] for shard in manifest["shards"])
    return rows


def images(folder: str | Path) -> dict[str, bytes]:
    """The PNG bytes of a folder by sample id."""
    return {row["sample_id"]: row["image"]["bytes"] for row in samples(folder)}


def shards(folder: str | Path) -> dict[str, bytes]:
    """The bytes of the files of samples by name."""
    return {name: data for name, data in tiny.contents(folder, "*.parquet").items() if name != "rejects.parquet"}
