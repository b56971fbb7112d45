"""Parquet files: read by row group, committed whole."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from ganrnn.errors import BadInput
from pipelines.storage import errors
from pipelines.storage.errors import STORE_ERRORS
from pipelines.storage.files import commit_bytes, open_filesystem

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def commit_table(uri: str, table: pa.Table, row_group_rows: int = 512) -> str:
    """Write a Parquet file atomically and return its sha256."""
    return commit_bytes(uri, parquet_bytes(table, row_group_rows))


def parquet_bytes(table: pa.Table, row_group_rows: int = 512) -> bytes:
    """A Parquet file in memory; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=row_group_rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def open_parquet(uri: str) -> pq.ParquetFile:
    """A Parquet file ready for reading by row group."""
    fs, path = open_filesystem(uri)
    with reading_parquet(uri):
        return pq.ParquetFile(fs.open(path, "rb"))


class RowGroups:
    """The row groups of a Parquet file, read one at a time; a file that cannot be read is BadInput that names it.

    schema:  of the file
    sizes:   rows of each row group
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._file = open_parquet(uri)
        self.schema: pa.Schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]

    def read(self, index: int, columns: Sequence[str] | None = None, any_text: bool = False) -> pa.Table:
        """A row group, of all columns or some. `any_text` lets texts pass that are not UTF-8."""
        require_columns(self.uri, self.schema, columns or [])
        return read_row_group(self.uri, self._file, index, columns, any_text)


@contextmanager
def reading_parquet(uri: str) -> Iterator[None]:
    """Whatever goes wrong while a Parquet file is read becomes BadInput that names it."""
    try:
        yield
    except (*STORE_ERRORS, pa.ArrowException) as error:
        advice = "; it may be missing, empty or truncated"
        raise errors.refusal(f"{uri} cannot be read as Parquet", error, advice) from error


def read_row_group(
    uri: str, file: pq.ParquetFile, index: int, columns: Sequence[str] | None = None, any_text: bool = False
) -> pa.Table:
    """A row group of an open file; BadInput names the file where it cannot be read."""
    with reading_parquet(uri):
        return _valid(file.read_row_group(index, columns=list(columns) if columns else None), any_text)


def _valid(table: Rows, any_text: bool = False) -> Rows:
    """The rows themselves. Damage that decompresses would show only where a text becomes a str."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        if not any_text:
            raise
        for column in table.columns:
            is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            (column.cast(pa.large_binary()) if is_text else column).validate(full=True)
    return table


def read_batches(uri: str, columns: Sequence[str], any_text: bool = False) -> Iterator[pa.RecordBatch]:
    """Rows of a Parquet file in pieces that fit in memory. `any_text` lets texts pass that are not UTF-8."""
    file = open_parquet(uri)
    require_columns(uri, file.schema_arrow, columns)
    with reading_parquet(uri):
        for batch in file.iter_batches(columns=list(columns)):
            yield _valid(batch, any_text)


def require_columns(uri: str, schema: pa.Schema, columns: Sequence[str]) -> None:
    """Raise BadInput when a table lacks a column or has it twice."""
    counts = Counter(schema.names)
    for column in columns:
        if counts[column] > 1:
            raise BadInput(f"{uri} has {counts[column]} columns {column!r}; allowed is one")
        if not counts[column]:
            raise BadInput(f"{uri} has no column {column!r}; it has {', '.join(schema.names)}")


def read_table(uris: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of Parquet files, one after the other; a column that some files lack is null there."""
    tables = []
    for uri in uris:
        file = open_parquet(uri)
        require_columns(uri, file.schema_arrow, columns or [])
        with reading_parquet(uri):
            tables.append(_valid(file.read(columns=list(columns) if columns else None)))
    return pa.concat_tables(tables, promote_options="default")
