"""Readers of the sources: the built-in scenes, a folder of pictures with captions, Parquet files, plain text files.

Each yields raw rows, unchecked and in a fixed order; a row that cannot be read comes with its problem, so that one bad
row does not stop the others. Trouble with a whole file (missing, truncated, without a column) is BadInput at once.

    for row in raw_rows(recipe.ingest, recipe.ingest.source_uri, recipe.seed): ...
"""

import csv
import hashlib
import io
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ganrnn.data.built_in import KINDS
from ganrnn.data.scenes import Split, in_chinese
from ganrnn.errors import BadInput
from ganrnn.text.captions import caption_of
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.formats.schemas import holds_image, is_binary
from pipelines.storage import errors
from pipelines.storage.errors import STORE_ERRORS

SPLITS: tuple[Split, ...] = ("train", "val", "test")
FILE_NAME = "file_name"
_CAPTIONS = (".csv", ".json", ".jsonl", ".parquet")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_BATCH_ROWS = 128

Values = dict[str, Any]


@dataclass(frozen=True)
class RawRow:
    """A row as its source holds it; nothing but `place` has been checked.

    `image` is an encoded picture, or uint8 [height, width, 3] where the source draws it. `split` is given where the
    source decides it. Without `id` the content names the row. `source_text` is what `text` is a translation, a summary
    or an answer of.
    """

    place: str
    image: bytes | np.ndarray | None = None
    source_image: bytes | np.ndarray | None = None
    text: Any = None
    source_text: Any = None
    id: Any = None
    label: Any = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    group: Any = None
    split: Split | None = None
    problem: str | None = None
    has_caption: bool = True


def raw_rows(config: IngestConfig, uri: str | None, seed: int) -> Iterator[RawRow]:
    """The rows of a source in order; `uri` is the folder or file, None for scenes."""
    if uri is None:
        return _scene_rows(config, seed)
    read = {"image_folder": _folder_rows, "parquet": _parquet_rows, "text_files": _text_rows}[config.source]
    return read(config, uri)


def describe(config: IngestConfig, uri: str | None, seed: int) -> dict[str, Any]:
    """What a manifest says of a source, sha256 digests included; raises BadInput for files that cannot serve.

    Columns are checked before anything is hashed. Tables stand one by one, pictures of a folder under one digest.
    """
    if uri is None:
        drawing = {"scenes": asdict(config.scenes), "seed": seed, "height": config.height, "width": config.width}
        plain = json.dumps(drawing, sort_keys=True)
        return {**json.loads(plain), "sha256": storage.sha256(plain.encode())}
    if config.source == "text_files":
        return {"uri": uri, "files": _digests(uri, _files(uri, ".txt"))}
    if config.source == "parquet":
        files = _files(uri, ".parquet")
        for file in files:
            _parquet_columns(config, file)
        return {"uri": uri, "files": _digests(uri, files)}
    captions, pictures = _caption_files(config, uri), _picture_files(uri)
    combined = storage.sha256(json.dumps(_digests(uri, pictures)).encode())
    return {
        "uri": uri,
        "files": _digests(uri, captions),
        "images": {"num_files": len(pictures), "sha256": combined},
    }


def _scene_rows(config: IngestConfig, seed: int) -> Iterator[RawRow]:
    for split in SPLITS:
        for scene in KINDS[config.scenes.kind].draw(config.scenes, split, seed, config.height, config.width):
            is_pair = config.kind == "pairs"
            yield RawRow(
                f"scene {scene.id}",
                scene.image,
                scene.source,
                in_chinese(scene) if is_pair else scene.text,
                scene.text if is_pair else None,
                scene.id,
                scene.label,
                attributes=scene.attributes,
                group="|".join(f"{name}={value}" for name, value in sorted(scene.attributes.items())),
                split=split,
            )


def _parquet_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    for file in _files(uri, ".parquet"):
        columns = _parquet_columns(config, file)
        for place, values in _table_rows(file, columns):
            if isinstance(values, str):
                yield RawRow(place, problem=values)
                continue
            if config.kind != "images":
                yield from _turns(config, _raw_row(config, place, values, None, None, None))
                continue
            data = _image_bytes(values[config.image_column])
            problem = None if data else f"column {config.image_column!r} holds no image bytes"
            source = _image_bytes(values[config.source_image_column]) if config.source_image_column else None
            yield _raw_row(config, place, values, data, source, problem)


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


def _text_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    """The pieces of text files in order; the last `holdout_share` of each file is set aside, half of it for test."""
    for file in _files(uri, ".txt"):
        try:
            text = storage.read_bytes(file).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadInput(f"{file} is not UTF-8 ({error})") from error
        held_out = 0.0 if config.holdout_uri else config.holdout_share
        ends = {"train": int(len(text) * (1 - held_out)), "val": int(len(text) * (1 - held_out / 2)), "test": len(text)}
        start = 0
        for split in SPLITS:
            for begin in range(start, ends[split], config.piece_characters):
                piece = text[begin : min(begin + config.piece_characters, ends[split])]
                name = f"{storage.relative(file, uri)}-{begin:010d}"
                yield RawRow(
                    f"{file} character {begin}", text=piece, id=name, split=None if config.holdout_uri else split
                )
            start = ends[split]


def _folder_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    captioned = set()
    for captions in _caption_files(config, uri):
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
            yield _raw_row(config, place, values, data, source, problem)
    for file in _picture_files(uri):
        if storage.relative(file, uri) not in captioned:
            yield RawRow(file, has_caption=False)


def _image_bytes(value: Any) -> Any:
    return value["bytes"] if isinstance(value, dict) else value


def _raw_row(
    config: IngestConfig, place: str, values: Values, image: bytes | None, source: bytes | None, problem: str | None
) -> RawRow:
    id_column = _id_column(config, values)
    values = {name: None if value == "" else value for name, value in values.items()}
    for name in (id_column, config.label_column):
        if name and values[name] is None:
            problem = problem or f"column {name!r} is empty"
    label = values[config.label_column] if config.label_column else None
    attributes = {name: values[name] for name in config.attribute_columns if values[name] is not None}
    return RawRow(
        place,
        image,
        source,
        values[config.text_column] if config.text_column else caption_of(attributes) or f"label {label}",
        values[config.source_column] if config.kind == "pairs" else None,
        values[id_column] if id_column else None,
        label,
        attributes,
        values[config.group_column] if config.group_column else None,
        problem=problem,
    )


def _id_column(config: IngestConfig, present: Mapping[str, Any] | Sequence[str]) -> str | None:
    return config.id_column or ("id" if "id" in present else None)


def _wanted(config: IngestConfig, present: Mapping[str, Any] | Sequence[str], first: str | None) -> list[str]:
    """The columns that the config reads, `first` being the one of the picture."""
    named = (
        first,
        config.source_column if config.kind == "pairs" else None,
        config.source_image_column,
        config.text_column,
        _id_column(config, present),
        config.label_column,
        config.group_column,
    )
    return list(dict.fromkeys(name for name in (*named, *config.attribute_columns) if name))


def _files(uri: str, ending: str) -> list[str]:
    files = storage.list_files(uri, ending)
    if not files:
        raise BadInput(f"{uri} holds no {ending} file; give an existing file or folder of files that end in {ending}")
    return files


def _parquet_columns(config: IngestConfig, uri: str) -> list[str]:
    """The columns to read from a file, all there and of a type that can serve."""
    schema = storage.open_parquet(uri).schema_arrow
    picture = config.image_column if config.kind == "images" else None
    wanted = _wanted(config, schema.names, picture)
    storage.require_columns(uri, schema, wanted)
    allowed_types = (
        (
            (picture, config.source_image_column),
            _holds_images,
            "struct<bytes: binary, path: string> or binary",
        ),
        ((config.text_column, config.source_column if config.kind == "pairs" else None), _is_text, "string"),
        ((config.label_column,), lambda kind: pa.types.is_integer(kind) or pa.types.is_boolean(kind), "whole numbers"),
        (
            (_id_column(config, schema.names), config.group_column, *config.attribute_columns),
            lambda kind: not (pa.types.is_nested(kind) or is_binary(kind)),
            "plain values",
        ),
    )
    for names, fits, allowed in allowed_types:
        for name in filter(None, names):
            if not fits(schema.field(name).type):
                kind = schema.field(name).type
                raise BadInput(f"{uri}: column {name!r} is of type {kind}; allowed is {allowed}")
    return wanted


def _holds_images(kind: pa.DataType) -> bool:
    return is_binary(kind) or holds_image(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _table_rows(uri: str, columns: Sequence[str]) -> Iterator[tuple[str, Values | str]]:
    """Each row of a Parquet file with its place, read some at a time; a problem instead where text is not UTF-8."""
    index = 0
    try:
        for batch in storage.open_parquet(uri).iter_batches(_BATCH_ROWS, columns=list(columns)):
            for i in range(batch.num_rows):
                values: Values | str
                try:
                    (values,) = batch.slice(i, 1).to_pylist()
                except UnicodeDecodeError as error:
                    values = f"a text is not UTF-8 ({error})"
                yield f"{uri} row {index}", values
                index += 1
    except (*STORE_ERRORS, pa.ArrowException) as error:
        text = f"{uri} cannot be read as Parquet after row {index}"
        raise errors.refusal(text, error, "; it may be truncated") from error


def _caption_files(config: IngestConfig, uri: str) -> list[str]:
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


def _picture_files(uri: str) -> list[str]:
    return [file for file in storage.list_files(uri) if file.lower().endswith(_PICTURES)]


def _caption_rows(config: IngestConfig, uri: str) -> Iterator[tuple[str, Values | str]]:
    if uri.endswith(".parquet"):
        schema = storage.open_parquet(uri).schema_arrow
        columns = _wanted(config, schema.names, FILE_NAME)
        storage.require_columns(uri, schema, columns)
        yield from _table_rows(uri, columns)
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
            storage.require_columns(uri, header, _wanted(config, names, FILE_NAME))
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
    missing = [name for name in _wanted(config, values, FILE_NAME) if name not in values]
    return f"has no {missing[0]!r}; it has {', '.join(values) or 'nothing'}" if missing else values


def _name_inside(folder: str, name: Any) -> str:
    """The path below the source; a name that leads out of it is BadInput."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadInput(f"{FILE_NAME} is {name!r}; allowed is a path inside the folder")
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith(("/", "../")) or path in ("..", "."):
        raise BadInput(f"{FILE_NAME} {name!r} leads out of the folder; allowed are paths inside it")
    return path


def _digests(uri: str, files: Sequence[str]) -> list[dict[str, str]]:
    digests = []
    for name in files:
        with storage.open_binary(name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        digests.append({"uri": storage.relative(name, uri), "sha256": digest})
    return digests
