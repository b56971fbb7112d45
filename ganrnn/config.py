"""Shared by configs: checks of values, and conversion from plain values.

A check is called in `__post_init__` with its bounds written out, since `ganrnn keys` prints them from there. A value
that is not a number (nan) is outside all bounds.
"""

import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ganrnn.errors import BadInput


def at_least(section: str, config: Any, **minima: float) -> None:
    """BadInput for a value below its minimum; `section` precedes the key in the message, as in all functions here.

    None, which stands for a value that follows something else, is allowed here.
    """
    for name, minimum in minima.items():
        if (value := getattr(config, name)) is not None and not value >= minimum:
            raise _refusal(section, config, name, f"values from {minimum} up")


def at_most(section: str, config: Any, **maxima: float) -> None:
    """BadInput for a value above its maximum."""
    for name, maximum in maxima.items():
        if not getattr(config, name) <= maximum:
            raise _refusal(section, config, name, f"values up to {maximum}")


def above(section: str, config: Any, **limits: float) -> None:
    """BadInput for a value that is not above its limit."""
    for name, limit in limits.items():
        if not getattr(config, name) > limit:
            raise _refusal(section, config, name, f"values above {limit}")


def within(section: str, config: Any, **ranges: tuple[float, float]) -> None:
    """BadInput for a value outside its range, whose ends are allowed."""
    for name, (minimum, maximum) in ranges.items():
        if not minimum <= getattr(config, name) <= maximum:
            raise _refusal(section, config, name, f"values from {minimum} to {maximum}")


def between(section: str, config: Any, **ranges: tuple[float, float]) -> None:
    """BadInput for a value outside its range, whose ends are not allowed."""
    for name, (lower, upper) in ranges.items():
        if not lower < getattr(config, name) < upper:
            raise _refusal(section, config, name, f"values between {lower} and {upper}")


def below(section: str, config: Any, **limits: float) -> None:
    """BadInput for a value that is negative or not below its limit."""
    for name, limit in limits.items():
        if not 0 <= getattr(config, name) < limit:
            raise _refusal(section, config, name, f"values from 0 to below {limit}")


def require_share(section: str, config: Any, *names: str) -> None:
    """BadInput for a value that is not from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise _refusal(section, config, name, "shares from 0 to below 1")


def _refusal(section: str, config: Any, name: str, allowed: str) -> BadInput:
    key = f"{section}.{name}" if section else name
    return BadInput(f"{key} is {getattr(config, name)}; allowed are {allowed}")


def from_plain(config_type: Any, values: Mapping[str, Any]) -> Any:
    """The config dataclass of plain values (`dataclasses.asdict`, JSON), nested dataclasses and tuples included.

    Raises TypeError for an unknown key, as the dataclass itself does.
    """
    types = typing.get_type_hints(config_type)
    return config_type(**{name: _value(types.get(name), value) for name, value in values.items()})


def _value(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return from_plain(kind, value)
    if typing.get_origin(kind) is not tuple:
        return value
    item_type = typing.get_args(kind)[0]
    return tuple(_value(item_type, item) for item in value)
