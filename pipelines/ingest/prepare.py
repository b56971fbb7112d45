"""A source's row as a data set's row: decoded, resized, checked."""

import hashlib
import json
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganrnn.data import images
from ganrnn.data.scenes import Split
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_row import RawRow


@dataclass(frozen=True)
class PreparedRow:
    """A row that fits the data set, as its `columns`; `content` is the digest of all columns but the id."""

    columns: dict[str, Any]
    group: str
    split: Split | None
    content: bytes

    @property
    def id(self) -> str:
        """The id of the source, else one derived from the content."""
        return str(self.columns["id"])


def prepare(row: RawRow, config: IngestConfig, needs_source: bool = False) -> PreparedRow | str:
    """The row as the dataset holds it, or why it cannot be; a function of the row alone.

    Pictures of another size are scaled to `height` x `width` by `images.scaled`.
    """
    if row.problem:
        return row.problem
    try:
        text, label = _text(row.text), _whole_number(row.label)
        attributes = {name: _plain(value, name) for name, value in row.attributes.items()}
        if needs_source and row.source_image is None:
            raise BadInput(f"{config.source_image_column} is empty; task.pairing paired needs a source picture")
        columns, digests = _pictures(row, config) if config.kind == "images" else ({}, [])
        if config.kind == "pairs":
            columns = {"source": _text(row.source_text), "target": text}
        else:
            columns["text"] = text
        words = [columns["source"]] if config.kind == "pairs" else []
        content_json = json.dumps([*digests[:1], *words, text, label, sorted(attributes.items()), *digests[1:]])
        content = hashlib.sha256(content_json.encode()).digest()
        row_id = content.hex()[:32] if row.id is None else _plain(row.id, "id")
        default_group = f"picture {digests[0]}" if digests else f"text {storage.sha256((words or [text])[0].encode())}"
        group = default_group if row.group is None else f"group {_plain(row.group, 'group')}"
    except BadInput as problem:
        return str(problem)
    columns |= {"id": row_id, "label": label, "attributes": list(attributes.items()) or None}
    return PreparedRow(columns, group, row.split, content[:16])


def _pictures(row: RawRow, config: IngestConfig) -> tuple[dict[str, Any], list[str]]:
    """The columns of a row's picture and, where it has one, of its source picture, and the digests of their pixels."""
    columns, digests = {}, []
    for name, picture in (("image", row.image), ("source_image", row.source_image)):
        if name == "source_image" and picture is None:
            continue
        size = (config.height, config.width)
        pixels = picture if isinstance(picture, np.ndarray) else images.scaled(picture or b"", *size)
        columns[name] = {"bytes": images.encode_png(pixels), "path": None}
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
    return columns, digests


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise BadInput(f"text is of type {type(value).__name__}; allowed is a string")
    if value is None or not value.strip():
        raise BadInput("text is empty")
    return _plain(value, "text")


def _plain(value: Any, name: str) -> str:
    """Any scalar as text that can be stored: not empty, and without half a surrogate pair, which JSON may hold."""
    if isinstance(value, dict | list):
        raise BadInput(f"{name} is of type {type(value).__name__}; allowed are plain values")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{name} is no valid Unicode ({error.reason})") from error
    if not text:
        raise BadInput(f"{name} is empty")
    return text


def _whole_number(label: Any) -> int | None:
    if label is None:
        return None
    try:
        number = int(label) if isinstance(label, str) else int(operator.index(label))
    except (ValueError, TypeError) as error:
        raise BadInput(f"label is {label!r:.80}; allowed are whole numbers") from error
    if not -(2**63) <= number < 2**63:
        raise BadInput(f"label is {label!r:.80}; allowed are whole numbers of 64 bits")
    return number
