"""Prompts Parquet, checked once and cut into shards: what generate and evaluate sample from."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats.partitions import Value, selected
from pipelines.formats.prompt_schema import conformed, has_large_seeds, is_text, is_text_map, plain, unified
from pipelines.formats.schemas import IMAGE, MATCH_SCORE, PROMPT_COLUMNS, SAMPLES, holds_image
from pipelines.formats.unique_ids import UniqueIds
from pipelines.formats.unreadable_texts import unreadable, without_unreadable


@dataclass(frozen=True)
class Shard:
    """A run of consecutive prompt rows: parts of files, [start, stop) each."""

    index: int
    parts: tuple[tuple[str, int, int], ...]
    schema: pa.Schema | None = None  # that the rows take on

    @property
    def num_rows(self) -> int:
        """Prompt rows, rejected ones included."""
        return sum(stop - start for _, start, stop in self.parts)


@dataclass(frozen=True)
class PromptSet:
    """A checked prompt set: the rows of its files one after the other, cut every `shard_rows` rows.

    A shard is worked out when it is asked for, so that the size of this object is that of the list of files.
    """

    uris: tuple[str, ...]
    file_rows: tuple[int, ...]
    shard_rows: int
    digest: str
    schema: pa.Schema | None = None  # where files differ, or have types that are not handled as they are

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(self.file_rows))

    @property
    def num_rows(self) -> int:
        """Prompt rows, rejected ones included."""
        return self._ends[-1]

    @property
    def num_shards(self) -> int:
        """Shards, the last of which may be shorter."""
        return -(-self.num_rows // self.shard_rows)

    def require_seed(self, run_seed: int) -> None:
        """Raise BadInput for a run seed that samples could not hold next to the seeds of these prompts."""
        if has_large_seeds(self.schema) and run_seed < 0:
            raise BadInput(
                f"generate.seed is {run_seed}; prompts have seeds from 2^63 up, next to which allowed is >= 0"
            )

    def shard(self, index: int) -> Shard:
        """The shard of an index in [0, num_shards)."""
        start, stop = index * self.shard_rows, min(self.num_rows, (index + 1) * self.shard_rows)
        parts = []
        while start < stop:
            file = bisect_right(self._ends, start)
            begin = self._ends[file] - self.file_rows[file]
            end = min(stop, self._ends[file])
            parts.append((self.uris[file], start - begin, end - begin))
            start = end
        return Shard(index, tuple(parts), self.schema)


def find(prompts_uri: str, since: Mapping[str, Value], where: Mapping[str, Value]) -> dict[str, int]:
    """The Parquet files of a prompt set, sorted, and their bytes; of Hive partitions KEY=VALUE those asked for.

    `since` keeps values that come at or after the given one, `where` those that equal it; `partitions` says how values
    compare. Raises BadInput when no file is left.
    """
    files = storage.stat_files(prompts_uri, ".parquet")
    if not files and not storage.exists(prompts_uri):
        raise BadInput(
            f"{prompts_uri} does not exist; give generate.prompts_uri, or run ingest first: relative paths of a recipe "
            "begin at the working folder"
        )
    if not files:
        raise BadInput(f"{prompts_uri} holds no Parquet file; give a .parquet file or a folder of them")
    kept, present = selected(list(files), since, where)
    if not kept:
        wanted = [f"{k} from {v}" for k, v in since.items()] + [f"{k}={v}" for k, v in where.items()]
        raise BadInput(
            f"{prompts_uri} has no partition with {' and '.join(wanted)}; it has {', '.join(present) or 'none'}"
        )
    return {uri: files[uri].num_bytes for uri in kept}


def plan(
    uris: Sequence[str],
    columns: Sequence[str],
    shard_rows: int,
    max_reject_share: float,
    sample_columns: Sequence[str] = SAMPLES.names,
    may_be_empty: bool = False,
) -> PromptSet:
    """Check the files of a prompt set and cut their rows into shards. Memory does not grow with the rows.

    `columns` are those that the model cannot do without, `sample_columns` those that its samples will have.

    Raises BadInput when a file is unreadable, all are empty and may not be, a column is missing, double or of another
    type, an id is null or double, or more than `max_reject_share` of the rows lack what the model reads.
    """
    name = uris[0] if len(uris) == 1 else f"{uris[0]} and {len(uris) - 1} more"
    sizes, schemas = [], {}
    for uri in uris:
        file = storage.open_parquet(uri)
        _check_types(uri, file.schema_arrow, columns, sample_columns)
        sizes.append(file.metadata.num_rows)
        schemas[uri] = file.schema_arrow
    schema = unified(schemas, [*PROMPT_COLUMNS, *columns])
    num_empty, first_empty = 0, None
    with UniqueIds("prompt_id") as ids:
        for uri in uris:
            if "num_samples" in schemas[uri].names:
                _check_counts(uri)
            for batch in _batches(uri, ["prompt_id", *columns], schema):
                _require_ids(uri, batch.column(0))
                ids.add(uri, batch.column(0))
                rows, unreadable_rows = without_unreadable(batch)
                left_out = [*unreadable_rows, *_ids_of_others(rows, _is_whole(rows, columns))]
                num_empty += len(left_out)
                first_empty = left_out[0] if first_empty is None and left_out else first_empty
        if not ids.count and not may_be_empty:
            raise BadInput(f"{name} holds no row; give at least one prompt")
        if ids.count:
            ids.check()
    if num_empty > max_reject_share * ids.count:
        raise BadInput(
            f"{name}: {num_empty} of {ids.count} rows have an empty {' or '.join(columns)}, "
            f"the first {first_empty!r}; "
            f"generate.max_reject_share allows {max_reject_share:g}"
        )
    digest = storage.sha256("".join(storage.file_digest(uri) for uri in uris).encode())
    return PromptSet(tuple(uris), tuple(sizes), shard_rows, digest, schema)


def _require_ids(uri: str, ids: pa.ChunkedArray) -> None:
    is_bad = unreadable(ids)
    if is_bad is not None:
        first = ids.cast(pa.large_binary()).filter(is_bad)[0].as_py()
        raise BadInput(f"{uri}: prompt_id {first!r:.80} is not UTF-8; every row needs an id that is")


def _batches(uri: str, columns: Sequence[str], schema: pa.Schema | None) -> Iterator[pa.Table]:
    """Some columns of a file in pieces, with the types of the set."""
    part = schema and pa.schema([schema.field(name) for name in columns])
    for batch in storage.read_batches(uri, columns, any_text=True):
        yield conformed(pa.Table.from_batches([batch]), part)


class ShardReader:
    """Reads shards; the row group read last is kept, because the next shard often starts in it."""

    def __init__(self) -> None:
        self.files: dict[str, storage.RowGroups] = {}
        self.group: tuple[tuple[str, int], pa.Table] | None = None

    def read(self, shard: Shard) -> pa.Table:
        """The prompt rows of a shard, in order, with every column of their files."""
        tables = [conformed(table, shard.schema) for part in shard.parts for table in self._rows(*part)]
        return pa.concat_tables(tables, promote_options="default")

    def _rows(self, uri: str, start: int, stop: int) -> Iterator[pa.Table]:
        """Rows [start, stop) of a file; only the row groups that hold them are read."""
        if uri not in self.files:
            self.files = {uri: storage.RowGroups(uri)}
        begin = 0
        for group, num_rows in enumerate(self.files[uri].sizes):
            end = begin + num_rows
            if begin < stop and start < end:
                yield self._group(uri, group).slice(max(start - begin, 0), min(stop, end) - max(start, begin))
            begin = end

    def _group(self, uri: str, group: int) -> pa.Table:
        if self.group is None or self.group[0] != (uri, group):
            self.group = ((uri, group), self.files[uri].read(group, any_text=True))
        return self.group[1]


def sampled(table: pa.Table, columns: Sequence[str]) -> tuple[pa.Table, dict[str, str]]:
    """The prompt rows that can be sampled, and why the others cannot: the model reads `columns`; by prompt id."""
    table, rejects = without_unreadable(table)
    kept = _is_whole(table, columns)
    empty = _ids_of_others(table, kept)
    return table.filter(kept), rejects | dict.fromkeys(empty, f"the {' or '.join(columns)} is empty")


def _ids_of_others(table: pa.Table, kept: Any) -> list[str]:
    ids: list[str] = table.column("prompt_id").filter(pc.invert(kept)).to_pylist()
    return ids


def planned_ids(uris: Sequence[str]) -> Iterator[str]:
    """The ids of the samples that prompts ask for, rejects included."""
    for uri in uris:
        names = storage.open_parquet(uri).schema_arrow.names
        for batch in storage.read_batches(uri, ["prompt_id", *({"num_samples"} & set(names))]):
            yield from expand(pa.Table.from_batches([batch]), 0)[1]


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


def _is_whole(rows: Any, columns: Sequence[str]) -> Any:
    """Of a table or batch, which rows have a text, number or picture in these columns. Attributes may be missing."""
    whole = pa.array([True] * rows.num_rows, pa.bool_())
    for name in columns:
        column = rows.column(name)
        if is_text(column.type):
            whole = pc.and_(whole, pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False))
        elif pa.types.is_integer(column.type):
            whole = pc.and_(whole, pc.is_valid(column))
        elif pa.types.is_struct(column.type):
            whole = pc.and_(whole, pc.is_valid(pc.struct_field(column, "bytes")))
    return whole


def _check_types(uri: str, schema: pa.Schema, columns: Sequence[str], sample_columns: Sequence[str]) -> None:
    storage.require_columns(uri, schema, ["prompt_id", *columns, *schema.names])
    for name in (*sample_columns, MATCH_SCORE.name):
        if name in schema.names and name not in PROMPT_COLUMNS:
            raise BadInput(f"{uri} has a column {name!r}, which samples have themselves; rename or drop it")
    texts, integers = ("prompt_id", "prompt"), ("seed", "num_samples", *({"label"} & set(columns)))
    kinds = dict.fromkeys(texts, ("string", is_text)) | dict.fromkeys(integers, ("integer", pa.types.is_integer))
    if "source_image" in columns:
        kinds["source_image"] = (str(IMAGE), holds_image)
    if "attributes" in columns:
        kinds["attributes"] = ("map<string, string>", is_text_map)
    for name, (allowed, is_right) in kinds.items():
        # A column without values has the type null; its rows are rejects, or take the default.
        if name in schema.names and not is_right(kind := plain(schema.field(name).type)) and not pa.types.is_null(kind):
            raise BadInput(f"{uri}: column {name} is {schema.field(name).type}; allowed is {allowed}")


def _check_counts(uri: str) -> None:
    for batch in storage.read_batches(uri, ["num_samples"]):
        least = pc.min(pc.cast(batch.column(0), plain(batch.column(0).type))).as_py()
        if least is not None and least < 0:
            raise BadInput(f"{uri}: column num_samples holds {least}; allowed are whole numbers from 0 up")
