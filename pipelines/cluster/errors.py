"""BadInput on its way from a Ray worker to the driver: an exception would lose its type."""

from collections.abc import Callable
from typing import Any

from ganrnn.errors import BadInput, TryAgain

_REFUSALS: dict[str, type[BadInput]] = {"try_again": TryAgain, "bad_input": BadInput}


def answered(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """In a worker: the row that `act` returns, or one that holds its BadInput."""
    try:
        return act()
    except BadInput as error:
        return {next(name for name, kind in _REFUSALS.items() if isinstance(error, kind)): str(error)}


def accepted(row: dict[str, Any]) -> dict[str, Any]:
    """On the driver: the row; where it holds a BadInput, that is raised."""
    for name, kind in _REFUSALS.items():
        if row.get(name):
            raise kind(row[name])
    return row
