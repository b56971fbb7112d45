"""Configs as plain values and back."""

import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any


def from_plain(config_type: Any, values: Mapping[str, Any]) -> Any:
    """A config dataclass from what `dataclasses.asdict` and JSON made of it: nested ones and tuples come back as such.

    Raises TypeError for an unknown key, as the dataclass itself does.
    """
    types = typing.get_type_hints(config_type)
    return config_type(**{name: _value(types.get(name), value) for name, value in values.items()})


def _value(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return from_plain(kind, value)
    if typing.get_origin(kind) is not tuple:
        return value
    of_items = typing.get_args(kind)[0]
    return tuple(_value(of_items, item) for item in value)
