"""Lists of captions: CSV, JSON lines, JSON, Parquet. A line that cannot be read costs itself."""

import csv
import io
import json
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_parquet import table_rows
from pipelines.ingest.source_row import FILE_NAME, TableRow, wanted_columns

ENDINGS = (".csv", ".json", ".jsonl", ".parquet")


def caption_rows(config: IngestConfig, uri: str) -> Iterator[TableRow]:
    """The rows of a list in order; BadInput for a list without the columns that the config reads."""
    ending = uri.lower()
    if ending.endswith(".parquet"):
        return _parquet_rows(config, uri)
    if ending.endswith(".csv"):
        return _csv_rows(config, uri)
    return _jsonl_rows(config, uri) if ending.endswith(".jsonl") else _json_rows(config, uri)


def _parquet_rows(config: IngestConfig, uri: str) -> Iterator[TableRow]:
    schema = storage.open_parquet(uri).schema_arrow
    columns = wanted_columns(config, schema.names, FILE_NAME)
    storage.require_columns(uri, schema, columns)
    yield from table_rows(uri, columns)


def _csv_rows(config: IngestConfig, uri: str) -> Iterator[TableRow]:
    with storage.open_binary(uri) as file:
        records = _csv_records(file)
        number, names, problem = next(records, (0, [], None))
        if not number:
            raise BadInput(f"{uri} is empty; its first line must name the columns, {FILE_NAME!r} among them")
        if problem:
            raise BadInput(f"{uri} line {number} {problem}; it must name the columns")
        header = pa.schema([(name, pa.string()) for name in names])
        storage.require_columns(uri, header, wanted_columns(config, names, FILE_NAME))
        for number, fields, problem in records:
            if not problem and len(fields) > len(names):
                problem = "more fields than the header; quote texts that hold a comma"
            values = dict.fromkeys(names) | dict(zip(names, fields, strict=False))
            yield TableRow(f"{uri} line {number}", values, problem)


def _csv_records(file: BinaryIO) -> Iterator[tuple[int, list[str], str | None]]:
    """The records that are not blank, each with the number of its first line, and why it cannot be read.

    A quote that is never closed takes all lines that follow; they are read again without the line that it stands in.
    """
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except (csv.Error, UnicodeDecodeError) as error:
            number, line = lines.taken[0]
            yield number, _guessed(line), f"is not CSV in UTF-8 ({error})"
            lines.give_back_all_but_first()
            continue
        if fields:
            yield lines.taken[0][0], fields, None


def _guessed(line: str | UnicodeDecodeError) -> list[str]:
    """The fields of a line that is no CSV, as far as can be told: its picture is then not one without a caption."""
    text = line if isinstance(line, str) else line.object.decode(errors="replace")
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return []


class _Lines:
    """The lines of a CSV file for its reader, which goes on after a line that is not UTF-8 or was given back."""

    def __init__(self, file: BinaryIO) -> None:
        self.taken: list[tuple[int, str | UnicodeDecodeError]] = []
        self._given_back: deque[tuple[int, str | UnicodeDecodeError]] = deque()
        self._unread = enumerate(_decoded_lines(file), start=1)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        number, line = self._given_back.popleft() if self._given_back else next(self._unread)
        self.taken.append((number, line))
        if isinstance(line, UnicodeDecodeError):
            raise line
        return line

    def give_back_all_but_first(self) -> None:
        self._given_back.extendleft(reversed(self.taken[1:]))


def _decoded_lines(file: BinaryIO) -> Iterator[str | UnicodeDecodeError]:
    """Lines that end in any of the three ways; spreadsheets put a byte order mark before the first."""
    encoding = "utf-8-sig"
    for line in file:
        try:
            yield from io.StringIO(line.decode(encoding), newline="")
        except UnicodeDecodeError as error:
            yield error
        encoding = "utf-8"


def _jsonl_rows(config: IngestConfig, uri: str) -> Iterator[TableRow]:
    with storage.open_binary(uri) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{uri} line {number}"
            try:
                yield _checked(config, place, json.loads(line))
            except ValueError as error:
                yield TableRow(place, {}, f"not JSON ({error})")
            except RecursionError:
                yield TableRow(place, {}, "not JSON (nested too deeply)")


def _json_rows(config: IngestConfig, uri: str) -> Iterator[TableRow]:
    rows = storage.read_json(uri)
    if not isinstance(rows, list):
        raise BadInput(f"{uri} holds {type(rows).__name__}; allowed is a list of objects with {FILE_NAME!r} and a text")
    for index, values in enumerate(rows):
        yield _checked(config, f"{uri} item {index}", values)


def _checked(config: IngestConfig, place: str, values: Any) -> TableRow:
    if not isinstance(values, dict):
        return TableRow(place, {}, f"holds {type(values).__name__}, not an object")
    missing = [name for name in wanted_columns(config, values, FILE_NAME) if name not in values]
    problem = f"has no {missing[0]!r}; it has {', '.join(values) or 'nothing'}" if missing else None
    return TableRow(place, values, problem)
