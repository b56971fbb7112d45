"""Prompts Parquet, checked once and cut into shards: what generate and evaluate sample from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.schemas import PROMPT_COLUMNS, SAMPLES


@dataclass(frozen=True)
class Shard:
    """A run of consecutive prompt rows: parts of files, [start, stop) each."""

    index: int
    parts: tuple[tuple[str, int, int], ...]

    @property
    def num_rows(self) -> int:
        """Prompt rows, rejected ones included."""
        return sum(stop - start for _, start, stop in self.parts)


@dataclass(frozen=True)
class PromptSet:
    """A checked prompt set. `rejected` holds the ids of rows that have no prompt."""

    uris: tuple[str, ...]
    digest: str
    num_rows: int
    rejected: tuple[str, ...]
    shards: tuple[Shard, ...]


def plan(prompts_uri: str, shard_rows: int, max_reject_share: float) -> PromptSet:
    """Read the ids of a prompt set, refuse duplicates, and cut its rows into shards.

    Raises BadInput when a file is unreadable or empty, a column is missing or of another type, an id is null or double,
    or more than `max_reject_share` of the rows have no prompt.
    """
    uris = storage.list_files(prompts_uri, ".parquet")
    if not uris:
        raise BadInput(f"{prompts_uri} holds no Parquet file; give a .parquet file or a folder of them")
    sizes, ids, rejected = [], set[str](), list[str]()
    for uri in uris:
        file = storage.open_parquet(uri)
        _check_types(uri, file.schema_arrow)
        sizes.append(file.metadata.num_rows)
        if "num_samples" in file.schema_arrow.names:
            _check_counts(uri)
        for batch in storage.read_batches(uri, ["prompt_id", "prompt"]):
            for prompt_id, prompt in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                if prompt_id is None or prompt_id in ids:
                    raise BadInput(f"{uri}: prompt_id {prompt_id!r} is not unique; every row needs an id of its own")
                ids.add(prompt_id)
                if not (prompt or "").strip():
                    rejected.append(prompt_id)
    if not ids:
        raise BadInput(f"{prompts_uri} holds no row; give at least one prompt")
    if len(rejected) > max_reject_share * len(ids):
        raise BadInput(
            f"{prompts_uri}: {len(rejected)} of {len(ids)} rows have an empty prompt, the first {rejected[0]!r}; "
            f"generate.max_reject_share allows {max_reject_share:g}"
        )
    digest = storage.sha256("".join(storage.file_digest(uri) for uri in uris).encode())
    return PromptSet(tuple(uris), digest, len(ids), tuple(sorted(rejected)), _cut(uris, sizes, shard_rows))


def read_shard(shard: Shard) -> pa.Table:
    """The prompts of a shard that can be sampled, in order, with every column of their file."""
    parts = []
    for uri, start, stop in shard.parts:
        parts.append(_read_rows(uri, start, stop))
    table = pa.concat_tables(parts, promote_options="default")
    stripped = pc.utf8_trim_whitespace(table.column("prompt"))
    return table.filter(pc.fill_null(pc.not_equal(stripped, ""), False))


def expand(table: pa.Table, run_seed: int) -> tuple[pa.Table, list[str], list[int]]:
    """One row a sample: prompt rows repeated `num_samples` times, with the sample ids and seeds.

    A sample's id is its prompt's id and its number; its seed is the row's own where it has one, else the run's.
    """
    counts = _column(table, "num_samples", 1)
    rows = [row for row, count in enumerate(counts) for _ in range(count)]
    ids = [
        f"{i}/{k}" for i, count in zip(table.column("prompt_id").to_pylist(), counts, strict=True) for k in range(count)
    ]
    seeds = _column(table, "seed", run_seed)
    return table.take(pa.array(rows, pa.int64())), ids, [seeds[row] for row in rows]


def _column(table: pa.Table, name: str, default: int) -> list[int]:
    if name not in table.column_names:
        return [default] * table.num_rows
    return [default if value is None else value for value in table.column(name).to_pylist()]


def _check_types(uri: str, schema: pa.Schema) -> None:
    storage.require_columns(uri, schema, PROMPT_COLUMNS[:2])
    for name in SAMPLES.names:
        if name in schema.names and name not in PROMPT_COLUMNS:
            raise BadInput(f"{uri} has a column {name!r}, which samples have themselves; rename or drop it")
    wanted: dict[str, Any] = {"prompt_id": _is_text, "prompt": _is_text, "seed": pa.types.is_integer}
    for name, is_right in (wanted | {"num_samples": pa.types.is_integer}).items():
        if name in schema.names and not is_right(schema.field(name).type):
            kind = "string" if is_right is _is_text else "integer"
            raise BadInput(f"{uri}: column {name} is {schema.field(name).type}; allowed is {kind}")


def _check_counts(uri: str) -> None:
    for batch in storage.read_batches(uri, ["num_samples"]):
        least = pc.min(batch.column(0)).as_py()
        if least is not None and least < 0:
            raise BadInput(f"{uri}: column num_samples holds {least}; allowed are whole numbers from 0 up")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _cut(uris: Sequence[str], sizes: Sequence[int], shard_rows: int) -> tuple[Shard, ...]:
    shards: list[Shard] = []
    parts: list[tuple[str, int, int]] = []
    held = 0
    for uri, size in zip(uris, sizes, strict=True):
        start = 0
        while start < size:
            stop = min(size, start + shard_rows - held)
            parts.append((uri, start, stop))
            held += stop - start
            start = stop
            if held == shard_rows:
                shards.append(Shard(len(shards), tuple(parts)))
                parts, held = [], 0
    if parts:
        shards.append(Shard(len(shards), tuple(parts)))
    return tuple(shards)


def _read_rows(uri: str, start: int, stop: int) -> pa.Table:
    """Rows [start, stop) of a file; only the row groups that hold them are read."""
    file = storage.open_parquet(uri)
    groups: list[int] = []
    begin = first = 0
    for group in range(file.num_row_groups):
        end = begin + file.metadata.row_group(group).num_rows
        if begin < stop and start < end:
            first = first if groups else begin
            groups.append(group)
        begin = end
    with storage.reading_parquet(uri):
        return file.read_row_groups(groups).slice(start - first, stop - start)
