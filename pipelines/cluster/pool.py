"""Actors on Ray Data: what they return, as it comes."""

import threading
from collections.abc import Iterator
from typing import Any

from pipelines.cluster.errors import accepted


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
