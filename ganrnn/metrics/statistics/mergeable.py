"""Shared by all mergeable statistics: a merge order that no scheduler can change, and deserialisation.

Floating-point sums depend on their order. Cut the samples into fixed blocks (one per shard, never one per worker),
compute one partial statistic per block, and add them to `OrderedMerge` in any order: the bytes of the result then
depend on the blocks alone, not on the number of workers or on which finished first.
"""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from ganrnn.errors import BadInput


class Mergeable(Protocol):
    """A statistic of a set of samples that merges with the statistic of a disjoint set."""

    def merge(self, other: Self) -> Self: ...


Partial = TypeVar("Partial", bound=Mergeable)


class OrderedMerge(Generic[Partial]):
    """Merges partial statistics of fixed blocks in the order of the blocks; stores only those that come too early."""

    def __init__(self) -> None:
        self.total: Partial | None = None
        self._early: dict[int, Partial | None] = {}
        self._position = 0

    def add(self, position: int, partial: Partial | None) -> None:
        """Add the partial of the block at a position, 0 and up without a gap; None for a block without samples."""
        assert position >= self._position and position not in self._early, position
        self._early[position] = partial
        while self._position in self._early:
            partial_in_order = self._early.pop(self._position)
            if partial_in_order is not None:
                self.total = partial_in_order if self.total is None else self.total.merge(partial_in_order)
            self._position += 1

    @property
    def is_complete(self) -> bool:
        """Whether no block is missing before the last one added."""
        return not self._early


def arrays_from_bytes(data: bytes, names: Sequence[str], what: str) -> dict[str, NDArray[Any]]:
    """The arrays of safetensors bytes, which must be exactly `names`; `what` names the statistic in the error.

    Raises BadInput if the bytes are truncated or hold other arrays.
    """
    try:
        arrays: dict[str, NDArray[Any]] = load(data)
    except SafetensorError as error:
        raise BadInput(f"{what}: {len(data)} bytes are no complete safetensors data ({error})") from error
    if set(arrays) != set(names):
        raise BadInput(f"{what}: the bytes hold the arrays {sorted(arrays)}, expected are {sorted(names)}")
    return arrays
