"""What is known of a committed shard: counts and digests, from its bytes or its file."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.formats.schemas import SHARD_NOTES


def commit(uri: str, table: pa.Table) -> dict[str, Any]:
    """Write a shard and return its receipt.

    A receipt holds the rows, size and digest of the file, the prompts it stands for, those it has no samples of, the
    count of unknown tokens, and whether the file was made now or found.
    """
    data = storage.parquet_bytes(table)
    return _receipt(table.schema, table.num_rows, len(data), storage.commit_bytes(uri, data)) | {"made_now": True}


def receipt(uri: str) -> dict[str, Any]:
    """The receipt of a shard from its file, read as a whole."""
    data = storage.read_bytes(uri)
    with storage.reading_parquet(uri):
        file = pq.ParquetFile(pa.BufferReader(data))
        whole = _receipt(file.schema_arrow, file.metadata.num_rows, len(data), storage.sha256(data))
    return whole | {"made_now": False}


def _receipt(schema: pa.Schema, num_rows: int, num_bytes: int, digest: str) -> dict[str, Any]:
    notes = json.loads((schema.metadata or {}).get(SHARD_NOTES.encode(), b"{}"))
    return {"rows": num_rows, "bytes": num_bytes, "sha256": digest, **notes}
