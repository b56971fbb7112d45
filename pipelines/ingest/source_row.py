"""What every source yields: raw rows, and how their columns are chosen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganrnn.data.scenes import Split
from ganrnn.errors import BadInput
from ganrnn.text.captions import caption_of
from pipelines import storage
from pipelines.config.ingest import IngestConfig

SPLITS: tuple[Split, ...] = ("train", "val", "test")
FILE_NAME = "file_name"  # the column of a caption list that names the image

Values = dict[str, Any]


@dataclass(frozen=True)
class TableRow:
    """A row of a Parquet file or of a list of captions; with a problem, `values` are those that could be read."""

    place: str
    values: Values
    problem: str | None = None


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


def raw_row(
    config: IngestConfig, place: str, values: Values, image: bytes | None, source: bytes | None, problem: str | None
) -> RawRow:
    """A row of a table, in which empty texts and NaN are missing values; an id or label that is becomes its problem."""
    id_column = id_column_of(config, values)
    values = {name: None if _is_missing(value) else value for name, value in values.items()}
    for name in (id_column, config.label_column):
        if name and values[name] is None:
            problem = problem or f"column {name!r} is empty"
    label = values[config.label_column] if config.label_column else None
    attributes = {name: values[name] for name in config.attribute_columns if values[name] is not None}
    if not config.text_column and config.attribute_columns and not attributes and label is None:
        problem = problem or f"{' and '.join(config.attribute_columns)} are empty: nothing to write a caption from"
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


def _is_missing(value: Any) -> bool:
    return value == "" or (isinstance(value, float) and math.isnan(value))


def storable(text: str) -> str:
    """A text that UTF-8 can hold: file names need not be UTF-8, and JSON may hold half a surrogate pair."""
    return text.encode(errors="backslashreplace").decode()


def id_column_of(config: IngestConfig, present: Mapping[str, Any] | Sequence[str]) -> str | None:
    """The column of ids: the configured one, none for an empty name, else `id` where the source has it."""
    if config.id_column is None:
        return "id" if "id" in present else None
    return config.id_column or None


def wanted_columns(config: IngestConfig, present: Mapping[str, Any] | Sequence[str], first: str | None) -> list[str]:
    """The columns that the config reads, `first` is that of the image."""
    named = (
        first,
        config.source_column if config.kind == "pairs" else None,
        config.source_image_column,
        config.text_column,
        id_column_of(config, present),
        config.label_column,
        config.group_column,
    )
    return list(dict.fromkeys(name for name in (*named, *config.attribute_columns) if name))


def source_files(uri: str, ending: str) -> list[str]:
    """The files of a source in order; BadInput where there is none."""
    files = storage.list_files(uri, ending)
    if not files:
        raise BadInput(f"{uri} holds no {ending} file; give an existing file or folder of files that end in {ending}")
    return files
