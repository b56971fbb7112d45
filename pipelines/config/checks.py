"""Checks of values that several sections of a recipe make."""

from typing import Any

from ganrnn.errors import BadInput


def at_least(section: str, config: Any, **minima: float) -> None:
    """BadInput for a value below its least."""
    for name, minimum in minima.items():
        if getattr(config, name) < minimum:
            raise BadInput(f"{section}.{name} is {getattr(config, name)}; allowed are values from {minimum} up")


def require_share(section: str, config: Any, *names: str) -> None:
    """BadInput for a value that is not from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise BadInput(f"{section}.{name} is {getattr(config, name)}; allowed are shares from 0 to below 1")
