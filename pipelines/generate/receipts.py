"""What is known of a committed shard: counts and digests, from its bytes or its file.

Before a shard is committed, its writer states size and sha256 in `_receipts/NAME.json` next to it. A file counts as a
shard if its bytes are the stated ones; readers of Parquet folders pass over names that begin with an underscore.
"""

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.formats.content_check import other_digest
from pipelines.formats.schemas import SHARD_NOTES

_FOLDER = "_receipts"


@dataclass(frozen=True)
class Receipt:
    """A shard that is committed.

    num_rows, num_bytes, sha256:  of the file
    num_prompts:     that it stands for
    rejects:         prompt id -> reason, of prompts without samples
    unknown_tokens:  of all its prompts together
    is_new:          it was written now, not met as the file of an earlier attempt
    replaced:        what was wrong with the file that it replaces, if there was one
    """

    num_rows: int
    num_bytes: int
    sha256: str
    num_prompts: int
    rejects: dict[str, str]
    unknown_tokens: int
    is_new: bool
    replaced: str = ""


def commit(uri: str, table: pa.Table, replaced: str = "") -> Receipt:
    """Write a shard and return its receipt; `replaced` says what was wrong with the file in its place."""
    data = storage.parquet_bytes(table)
    digest = storage.sha256(data)
    state(uri, len(data), digest)
    storage.commit_bytes(uri, data)
    return _receipt(table.schema, table.num_rows, len(data), digest, replaced=replaced, is_new=True)


def state(uri: str, num_bytes: int, digest: str) -> None:
    """Write down which bytes count as the shard of a URI."""
    folder, _, name = uri.rpartition("/")
    statement = {"shard": name, "bytes": num_bytes, "sha256": digest}
    storage.commit_json(storage.join(folder, _FOLDER, f"{name}.json"), statement)


def _stated_digest(uri: str) -> str | None:
    """The sha256 that the writer of a shard stated; None where nothing readable was stated of this name."""
    folder, _, name = uri.rpartition("/")
    statement_uri = storage.join(folder, _FOLDER, f"{name}.json")
    if not storage.exists(statement_uri):
        return None
    statement = storage.read_object(statement_uri) or {}
    return str(statement.get("sha256")) if statement.get("shard") == name else None


def receipt_of(uri: str) -> Receipt:
    """The receipt of a shard from its file, read as a whole."""
    return _receipt_of(uri, storage.read_bytes(uri))


def receipt_or_problem(uri: str) -> Receipt | str:
    """The receipt of a file that has the bytes its writer stated, or what is wrong with the file."""
    data, digest = storage.read_bytes(uri), _stated_digest(uri)
    if digest is None:
        return "has no receipt"
    if (actual := storage.sha256(data)) != digest:
        return other_digest(actual, digest)
    return _receipt_of(uri, data)


def _receipt_of(uri: str, data: bytes) -> Receipt:
    with storage.reading_parquet(uri):
        file = pq.ParquetFile(pa.BufferReader(data))
        schema, num_rows = file.schema_arrow, file.metadata.num_rows
    return _receipt(schema, num_rows, len(data), storage.sha256(data), is_new=False)


def _receipt(
    schema: pa.Schema, num_rows: int, num_bytes: int, digest: str, *, is_new: bool, replaced: str = ""
) -> Receipt:
    notes = json.loads((schema.metadata or {})[SHARD_NOTES.encode()])
    counts = notes["prompts"], notes["rejects"], notes["unknown_tokens"]
    return Receipt(num_rows, num_bytes, digest, *counts, is_new, replaced)
