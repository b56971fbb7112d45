"""BadInput on its way from a Ray worker to the driver: an exception would lose its type."""

import threading
from collections.abc import Callable, Iterator
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


def rows(dataset: Any) -> Iterator[dict[str, Any]]:
    """On the driver: the rows of a Ray data set as they come. At the end, and at a refusal, Ray Data has stopped.

    A thread of it that asks Ray for something while Ray shuts down ends the process before the reason is told.
    """
    stream = iter(dataset.iter_rows())
    try:
        for row in stream:
            yield accepted(row)
    finally:
        stream.close()  # a generator, which lets go of its executor
        for thread in threading.enumerate():
            if thread.name.startswith("StreamingExecutor"):
                thread.join()
