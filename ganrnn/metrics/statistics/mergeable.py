"""What the mergeable statistics share: a merge order that no scheduler can change, and a way back from bytes.

Floating-point sums depend on their order. Cut the samples into fixed blocks (one per shard, never one per worker), make
one partial per block, and hand them to `OrderedMerge` as they come: the bytes of the result then depend on the blocks
alone, not on how many workers there were or which finished first.
"""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from ganrnn.errors import BadInput


class Mergeable(Protocol):
    """A statistic of a set of samples that can be joined with that of a disjoint set."""

    def merge(self, other: Self) -> Self: ...


Partial = TypeVar("Partial", bound=Mergeable)


class OrderedMerge(Generic[Partial]):
    """Merges the partials of fixed blocks as they come; of the blocks, those that come early are all that is kept."""

    def __init__(self) -> None:
        self.total: Partial | None = None
        self._early: dict[int, Partial | None] = {}
        self._position = 0

    def add(self, position: int, partial: Partial | None) -> None:
        """Take the partial of the block at a position, 0 and up without a gap; None for a block without samples."""
        assert position >= self._position and position not in self._early, position
        self._early[position] = partial
        while self._position in self._early:
            following = self._early.pop(self._position)
            if following is not None:
                self.total = following if self.total is None else self.total.merge(following)
            self._position += 1

    @property
    def is_complete(self) -> bool:
        """Whether no block is missing before the last that came."""
        return not self._early


def arrays_from_bytes(data: bytes, names: Sequence[str], what: str) -> dict[str, NDArray[Any]]:
    """Reads safetensors bytes that must hold exactly the arrays `names`; `what` names the statistic in the error.

    Raises BadInput when the bytes are truncated or hold something else.
    """
    try:
        arrays: dict[str, NDArray[Any]] = load(data)
    except SafetensorError as error:
        raise BadInput(f"{what}: {len(data)} bytes are no complete safetensors data ({error})") from error
    if set(arrays) != set(names):
        raise BadInput(f"{what}: the bytes hold the arrays {sorted(arrays)}, expected are {sorted(names)}")
    return arrays
