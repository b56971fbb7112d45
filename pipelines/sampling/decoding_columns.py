"""Columns of prompts that set the decoding of their texts: the fields of `Decoding`, where null means the default."""

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
    """The decoding of each row, and prompt id -> reason for rows whose settings are not allowed.

    numbers:  of samples within their prompts; sample k of a search is its hypothesis of rank k
    """
    present = [name for name in (*DECODING_COLUMNS, "num_samples") if name in table.column_names]
    rules_of_rows: list[Decoding] = []
    rejects: dict[str, str] = {}
    for index, row in enumerate(table.select(["prompt_id", *present]).to_pylist()):
        settings = {name: _value(name, value) for name, value in row.items() if value is not None}
        del settings["prompt_id"]
        num_samples = settings.pop("num_samples", 1)
        try:
            rules = replace(default, **settings)
            if rules.num_beams > 1 and rules.best + num_samples > rules.num_beams:
                raise BadInput(f"num_samples is {num_samples}; a search with num_beams {rules.num_beams} has no more")
            if rules.num_beams > 1 and numbers:
                rules = replace(rules, best=rules.best + numbers[index])
            rules_of_rows.append(rules)
        except (BadInput, TypeError) as problem:
            rules_of_rows.append(default)
            rejects[row["prompt_id"]] = str(problem)
    return rules_of_rows, rejects


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return tuple(value)
    return dict(value) if name in _NUMBERS else value
