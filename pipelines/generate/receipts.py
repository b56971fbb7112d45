"""What is known of a committed shard: counts and digests, from its bytes or its file."""

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.formats.schemas import SHARD_NOTES


@dataclass(frozen=True)
class Receipt:
    """A shard that is committed.

    num_rows, num_bytes, sha256:  of the file
    num_prompts:     that it stands for
    rejects:         prompt id -> reason, of prompts without samples
    unknown_tokens:  of all its prompts together
    is_new:          it was written now, not met as the file of an earlier attempt
    """

    num_rows: int
    num_bytes: int
    sha256: str
    num_prompts: int
    rejects: dict[str, str]
    unknown_tokens: int
    is_new: bool


def commit(uri: str, table: pa.Table) -> Receipt:
    """Write a shard and return its receipt."""
    data = storage.parquet_bytes(table)
    return _receipt(table.schema, table.num_rows, len(data), storage.commit_bytes(uri, data), is_new=True)


def receipt_of(uri: str) -> Receipt:
    """The receipt of a shard from its file, read as a whole."""
    data = storage.read_bytes(uri)
    with storage.reading_parquet(uri):
        file = pq.ParquetFile(pa.BufferReader(data))
        return _receipt(file.schema_arrow, file.metadata.num_rows, len(data), storage.sha256(data), is_new=False)


def _receipt(schema: pa.Schema, num_rows: int, num_bytes: int, digest: str, is_new: bool) -> Receipt:
    notes = json.loads((schema.metadata or {})[SHARD_NOTES.encode()])
    return Receipt(num_rows, num_bytes, digest, notes["prompts"], notes["rejects"], notes["unknown_tokens"], is_new)
