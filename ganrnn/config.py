"""Shared by configs: checks of values, and conversion from plain values.

A check is called in `__post_init__` with its bounds written out, since `ganrnn keys` prints them from there. A value
that is not a number (nan) is outside all bounds.
"""

import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ganrnn.errors import BadInput

Bound = float | str  # a number, or the name of another key of the same config


def at_least(section: str, config: Any, **minima: Bound) -> None:
    """BadInput for a value below its minimum; `section` precedes the key in the message, as in all functions here.

    None, which stands for a value that follows something else, is allowed here.
    """
    for name, minimum in minima.items():
        if (value := getattr(config, name)) is not None and not value >= _number(config, minimum):
            raise _refusal(section, config, name, f"values from {_words(section, config, minimum)} up")


def at_most(section: str, config: Any, **maxima: Bound) -> None:
    """BadInput for a value above its maximum."""
    for name, maximum in maxima.items():
        if not getattr(config, name) <= _number(config, maximum):
            raise _refusal(section, config, name, f"values up to {_words(section, config, maximum)}")


def above(section: str, config: Any, **limits: Bound) -> None:
    """BadInput for a value that is not above its limit."""
    for name, limit in limits.items():
        if not getattr(config, name) > _number(config, limit):
            raise _refusal(section, config, name, f"values above {_words(section, config, limit)}")


def within(section: str, config: Any, **ranges: tuple[Bound, Bound]) -> None:
    """BadInput for a value outside its range, whose ends are allowed."""
    for name, (minimum, maximum) in ranges.items():
        if not _number(config, minimum) <= getattr(config, name) <= _number(config, maximum):
            allowed = f"values from {_words(section, config, minimum)} to {_words(section, config, maximum)}"
            raise _refusal(section, config, name, allowed)


def above_to(section: str, config: Any, **ranges: tuple[float, float]) -> None:
    """BadInput for a value outside its range, of which the lower end is not allowed."""
    for name, (lower, maximum) in ranges.items():
        if not lower < getattr(config, name) <= maximum:
            raise _refusal(section, config, name, f"values above {lower} to {maximum}")


def between(section: str, config: Any, **ranges: tuple[float, float]) -> None:
    """BadInput for a value outside its range, whose ends are not allowed."""
    for name, (lower, upper) in ranges.items():
        if not lower < getattr(config, name) < upper:
            raise _refusal(section, config, name, f"values between {lower} and {upper}")


def below(section: str, config: Any, **limits: Bound) -> None:
    """BadInput for a value that is negative or not below its limit."""
    for name, limit in limits.items():
        if not 0 <= getattr(config, name) < _number(config, limit):
            raise _refusal(section, config, name, f"values from 0 to below {_words(section, config, limit)}")


def multiples(section: str, config: Any, **factors: tuple[Bound, int]) -> None:
    """BadInput for a value that is not a multiple of its factor, or is below its minimum."""
    for name, (factor, minimum) in factors.items():
        value = getattr(config, name)
        if value < minimum or value % _number(config, factor):
            allowed = f"multiples of {_words(section, config, factor)} from {minimum} up"
            raise _refusal(section, config, name, allowed)


def require_share(section: str, config: Any, *names: str) -> None:
    """BadInput for a value that is not from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise _refusal(section, config, name, "shares from 0 to below 1")


def _number(config: Any, bound: Bound) -> float:
    number: float = getattr(config, bound) if isinstance(bound, str) else bound
    return number


def _words(section: str, config: Any, bound: Bound) -> str:
    return f"{_key(section, bound)} ({getattr(config, bound)})" if isinstance(bound, str) else str(bound)


def _refusal(section: str, config: Any, name: str, allowed: str) -> BadInput:
    return BadInput(f"{_key(section, name)} is {getattr(config, name)}; allowed are {allowed}")


def _key(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


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
