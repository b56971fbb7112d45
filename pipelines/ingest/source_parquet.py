"""Parquet files as a source, dialogues turn by turn."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.formats.prompt_schema import is_text, plain, unified
from pipelines.formats.schemas import holds_image, is_binary
from pipelines.ingest.source_row import RawRow, TableRow, id_column_of, raw_row, source_files, wanted_columns
from pipelines.storage import errors
from pipelines.storage.errors import STORE_ERRORS

_BATCH_ROWS = 128

# What a value raises that Python has no equal of: a date after the year 9999, an unknown time zone, text in Latin-1.
_UNREADABLE = (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError, pa.ArrowException)


def parquet_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    """The rows of Parquet files in order."""
    files = source_files(uri, ".parquet")
    numbers = common_numbers(config, files)
    for file in files:
        columns = parquet_columns(config, file)
        for row in table_rows(file, columns, numbers):
            place, values = row.place, row.values
            if row.problem:
                yield RawRow(place, problem=row.problem)
                continue
            if config.kind != "images":
                yield from _turns(config, raw_row(config, place, values, None, None, None))
                continue
            data = _image_bytes(values[config.image_column])
            problem = None if data else f"column {config.image_column!r} holds no image bytes"
            source = _image_bytes(values[config.source_image_column]) if config.source_image_column else None
            yield raw_row(config, place, values, data, source, problem)


def _turns(config: IngestConfig, row: RawRow) -> Iterator[RawRow]:
    """A row of texts as it is or, of a dialogue, each turn as the answer to those before it, all in one group."""
    if not config.turn_separator or not isinstance(row.source_text, str):
        yield row
        return
    dialogue = row.source_text if row.id is None else row.id
    turns = [turn for turn in row.source_text.split(config.turn_separator) if turn.strip()]
    if len(turns) < 2:
        yield replace(row, problem="the dialogue has no second turn")
    for number in range(1, len(turns)):
        before = config.turn_separator.join(turns[:number])
        yield replace(
            row,
            place=f"{row.place} turn {number}",
            text=turns[number],
            source_text=before,
            id=None if row.id is None else f"{row.id}-{number}",
            group=dialogue if row.group is None else row.group,
        )


def _image_bytes(value: Any) -> Any:
    return value["bytes"] if isinstance(value, dict) else value


def parquet_columns(config: IngestConfig, uri: str) -> list[str]:
    """The columns to read from a file; BadInput where one is missing or of a type that ingest cannot read."""
    schema = storage.open_parquet(uri).schema_arrow
    picture = config.image_column if config.kind == "images" else None
    columns = wanted_columns(config, schema.names, picture)
    storage.require_columns(uri, schema, columns)
    allowed_types = (
        (
            (picture, config.source_image_column),
            _holds_images,
            "struct<bytes: binary, path: string> or binary",
        ),
        ((config.text_column, config.source_column if config.kind == "pairs" else None), is_text, "string"),
        ((config.label_column,), lambda kind: pa.types.is_integer(kind) or pa.types.is_boolean(kind), "whole numbers"),
        (
            (id_column_of(config, schema.names), config.group_column, *config.attribute_columns),
            lambda kind: not (pa.types.is_nested(kind) or is_binary(kind)),
            "plain values",
        ),
    )
    for names, fits, allowed in allowed_types:
        for name in filter(None, names):
            kind = plain(schema.field(name).type)
            # A column without values has the type null; what its rows lack is said row by row.
            if not fits(kind) and not pa.types.is_null(kind):
                raise BadInput(f"{uri}: column {name!r} is of type {schema.field(name).type}; allowed is {allowed}")
    return columns


def common_numbers(config: IngestConfig, files: Sequence[str]) -> pa.Schema | None:
    """Numbers that become texts and have several types: one type for all files, so that 1 and 1.0 are one value.

    Raises BadInput, naming file and column, for a number that this type does not hold.
    """
    schemas = {file: storage.open_parquet(file).schema_arrow for file in files}
    named = {id_column_of(config, schema.names) for schema in schemas.values()}
    names = [
        name
        for name in dict.fromkeys((*named, config.group_column, *config.attribute_columns))
        if name and all(_is_number(schema.field(name).type) for schema in schemas.values() if name in schema.names)
    ]
    parts = {
        file: pa.schema([schema.field(name) for name in names if name in schema.names])
        for file, schema in schemas.items()
    }
    return unified(parts, ())


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _holds_images(kind: pa.DataType) -> bool:
    return is_binary(kind) or holds_image(kind)


def table_rows(uri: str, columns: Sequence[str], numbers: pa.Schema | None = None) -> Iterator[TableRow]:
    """Each row of a Parquet file, read some at a time; `numbers` are the types that some columns take on."""
    index = 0
    try:
        for batch in storage.open_parquet(uri).iter_batches(_BATCH_ROWS, columns=list(columns)):
            for number, name in enumerate(batch.schema.names):
                if numbers is not None and name in numbers.names:
                    column = batch.column(number).cast(numbers.field(name).type)
                    batch = batch.set_column(number, name, column)
            for i in range(batch.num_rows):
                yield _table_row(f"{uri} row {index}", batch.slice(i, 1))
                index += 1
    except (*STORE_ERRORS, pa.ArrowException) as error:
        text = f"{uri} cannot be read as Parquet after row {index}"
        raise errors.refusal(text, error, "; it may be truncated") from error


def _table_row(place: str, row: pa.RecordBatch) -> TableRow:
    """A row of one, each value converted by itself where some cannot be."""
    try:
        return TableRow(place, row.to_pylist()[0])
    except _UNREADABLE:
        pass
    values, problem = dict.fromkeys(row.schema.names), None
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            values[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            problem = problem or f"column {name!r} is not UTF-8 ({error})"
        except _UNREADABLE as error:
            problem = problem or f"column {name!r} cannot be read as {column.type} ({error})"
    return TableRow(place, values, problem)
