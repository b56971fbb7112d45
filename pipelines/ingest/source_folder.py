"""A folder of pictures with captions as a source: CSV, JSON lines, JSON, Parquet."""

import csv
import io
import json
import posixpath
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_parquet import table_rows
from pipelines.ingest.source_row import FILE_NAME, RawRow, Values, raw_row, wanted_columns

_CAPTIONS = (".csv", ".json", ".jsonl", ".parquet")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def folder_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    """The captioned images in the order of their lists, then the images that no list names."""
    captioned = set()
    for captions in caption_files(config, uri):
        # Hugging Face: file names are relative to the metadata file; those of a list named by hand, to the folder.
        folder = "" if config.captions_file else posixpath.dirname(storage.relative(captions, uri))
        for place, values in _caption_rows(config, captions):
            if isinstance(values, str):
                yield RawRow(place, problem=values)
                continue
            try:
                name = _name_inside(folder, values[FILE_NAME])
                captioned.add(name)
                data, source, problem = storage.read_bytes(storage.join(uri, name)), None, None
                if config.source_image_column and values[config.source_image_column]:
                    name = _name_inside(folder, values[config.source_image_column])
                    captioned.add(name)
                    source = storage.read_bytes(storage.join(uri, name))
            except BadInput as error:
                data, source, problem = b"", None, str(error)
            yield raw_row(config, place, values, data, source, problem)
    for file in picture_files(uri):
        if storage.relative(file, uri) not in captioned:
            yield RawRow(file, has_caption=False)


def caption_files(config: IngestConfig, uri: str) -> list[str]:
    """The list named by the config, or every metadata file below the folder."""
    if config.captions_file:
        if not config.captions_file.endswith(_CAPTIONS):
            raise BadInput(f"ingest.captions_file is {config.captions_file}; allowed are {', '.join(_CAPTIONS)} files")
        return [storage.join(uri, config.captions_file)]
    files = [file for file in storage.list_files(uri) if posixpath.basename(file) in _METADATA]
    if not files:
        allowed = " or ".join(_METADATA)
        raise BadInput(f"{uri} holds no {allowed}; give an existing folder with one, or ingest.captions_file")
    return files


def picture_files(uri: str) -> list[str]:
    """The images at or below a folder."""
    return [file for file in storage.list_files(uri) if file.lower().endswith(_PICTURES)]


def _caption_rows(config: IngestConfig, uri: str) -> Iterator[tuple[str, Values | str]]:
    if uri.endswith(".parquet"):
        schema = storage.open_parquet(uri).schema_arrow
        columns = wanted_columns(config, schema.names, FILE_NAME)
        storage.require_columns(uri, schema, columns)
        yield from table_rows(uri, columns)
    elif uri.endswith(".csv"):
        yield from _csv_rows(config, uri)
    else:
        yield from _jsonl_rows(config, uri) if uri.endswith(".jsonl") else _json_rows(config, uri)


def _csv_rows(config: IngestConfig, uri: str) -> Iterator[tuple[str, Values | str]]:
    with storage.open_binary(uri) as file:
        # utf-8-sig: spreadsheets put a byte order mark first.
        reader = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), strict=True)
        try:
            names = list(reader.fieldnames or ())
            header = pa.schema([(name, pa.string()) for name in names])
            storage.require_columns(uri, header, wanted_columns(config, names, FILE_NAME))
            for values in reader:
                place = f"{uri} line {reader.line_num}"
                # DictReader keeps surplus fields under None.
                is_long = None in values
                yield place, "more fields than the header; quote texts that hold a comma" if is_long else dict(values)
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadInput(f"{uri} line {reader.line_num} is not CSV in UTF-8 ({error})") from error


def _jsonl_rows(config: IngestConfig, uri: str) -> Iterator[tuple[str, Values | str]]:
    with storage.open_binary(uri) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield f"{uri} line {number}", _checked(config, json.loads(line))
                except ValueError as error:
                    yield f"{uri} line {number}", f"not JSON ({error})"


def _json_rows(config: IngestConfig, uri: str) -> Iterator[tuple[str, Values | str]]:
    rows = storage.read_json(uri)
    if not isinstance(rows, list):
        raise BadInput(f"{uri} holds {type(rows).__name__}; allowed is a list of objects with {FILE_NAME!r} and a text")
    for index, values in enumerate(rows):
        yield f"{uri} item {index}", _checked(config, values)


def _checked(config: IngestConfig, values: Any) -> Values | str:
    if not isinstance(values, dict):
        return f"holds {type(values).__name__}, not an object"
    missing = [name for name in wanted_columns(config, values, FILE_NAME) if name not in values]
    return f"has no {missing[0]!r}; it has {', '.join(values) or 'nothing'}" if missing else values


def _name_inside(folder: str, name: Any) -> str:
    """The path below the source; a name that leads out of it is BadInput."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadInput(f"{FILE_NAME} is {name!r}; allowed is a path inside the folder")
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith(("/", "../")) or path in ("..", "."):
        raise BadInput(f"{FILE_NAME} {name!r} leads out of the folder; allowed are paths inside it")
    return path
