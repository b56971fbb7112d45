"""BadInput on its way from a Ray Data worker to the driver: an exception would lose its type."""

from collections.abc import Callable, Iterator
from typing import Any

from ganrnn.errors import BadInput

_REFUSAL = "bad_input"


def answered(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """In a worker: the row that `act` returns, or one that holds its BadInput."""
    try:
        return act()
    except BadInput as error:
        return {_REFUSAL: str(error)}


def accepted(row: dict[str, Any]) -> dict[str, Any]:
    """On the driver: the row; where it holds a BadInput, that is raised."""
    if row.get(_REFUSAL):
        raise BadInput(row[_REFUSAL])
    return row


def rows(dataset: Any) -> Iterator[dict[str, Any]]:
    """On the driver: the rows of a Ray data set as they come."""
    return map(accepted, dataset.iter_rows())
