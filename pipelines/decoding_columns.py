"""Columns of prompts that say how their texts are written: those of `Decoding`, by name, null being the default."""

from dataclasses import fields, replace
from typing import Any

import pyarrow as pa

from ganrnn.errors import BadInput
from ganrnn.sampling.decoding import Decoding

DECODING_COLUMNS = tuple(field.name for field in fields(Decoding))
_LISTS, _NUMBERS = ("stop", "banned", "rhymes"), ("bias",)


def decodings(table: pa.Table, default: Decoding) -> tuple[list[Decoding], dict[str, str]]:
    """Of each row how it is to be written, and the ids of those that ask for what cannot be -> reason."""
    present = [name for name in DECODING_COLUMNS if name in table.column_names]
    if not present:
        return [default] * table.num_rows, {}
    made: list[Decoding] = []
    rejects: dict[str, str] = {}
    for row in table.select(["prompt_id", *present]).to_pylist():
        asked = {name: _value(name, row[name]) for name in present if row[name] is not None}
        try:
            made.append(replace(default, **asked))
        except (BadInput, TypeError) as problem:
            made.append(default)
            rejects[row["prompt_id"]] = str(problem)
    return made, rejects


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return tuple(value)
    return dict(value) if name in _NUMBERS else value
