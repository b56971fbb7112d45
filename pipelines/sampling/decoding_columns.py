"""Columns of prompts that say how their texts are written: those of `Decoding`, by name, null being the default."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa

from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput

DECODING_COLUMNS = tuple(field.name for field in fields(Decoding))
_LISTS, _NUMBERS = ("stop", "banned", "rhymes"), ("bias",)


def decodings(
    table: pa.Table, default: Decoding, numbers: Sequence[int] | None = None
) -> tuple[list[Decoding], dict[str, str]]:
    """Of each row how it is to be written, and the ids of those that ask for what cannot be -> reason.

    `numbers` are those of samples within their prompts: of a search, they are its best texts in their order.
    """
    present = [name for name in (*DECODING_COLUMNS, "num_samples") if name in table.column_names]
    made: list[Decoding] = []
    rejects: dict[str, str] = {}
    for index, row in enumerate(table.select(["prompt_id", *present]).to_pylist()):
        asked = {name: _value(name, value) for name, value in row.items() if value is not None}
        del asked["prompt_id"]
        num_samples = asked.pop("num_samples", 1)
        try:
            rules = replace(default, **asked)
            if rules.num_beams > 1 and rules.best + num_samples > rules.num_beams:
                raise BadInput(f"num_samples is {num_samples}; a search with num_beams {rules.num_beams} has no more")
            if rules.num_beams > 1 and numbers:
                rules = replace(rules, best=rules.best + numbers[index])
            made.append(rules)
        except (BadInput, TypeError) as problem:
            made.append(default)
            rejects[row["prompt_id"]] = str(problem)
    return made, rejects


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return tuple(value)
    return dict(value) if name in _NUMBERS else value
