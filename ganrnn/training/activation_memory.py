"""How much a step keeps for its backward passes: the memory that grows with the batch."""

from types import TracebackType

import torch
from torch import nn


class SavedBytes:
    """Within the block, `peak` follows the most bytes that were saved for backward passes at one time.

    Counted once for each storage, on any device; parameters, which are there anyway, are left out.
    """

    def __init__(self) -> None:
        self.peak = self._now = 0
        self._users: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda held: held.tensor)

    def __enter__(self) -> "SavedBytes":
        self._hooks.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hooks.__exit__(kind, error, at)

    def _pack(self, tensor: torch.Tensor) -> "_Held":
        storage = tensor.untyped_storage()
        held = _Held(self, tensor, storage.data_ptr(), storage.nbytes())
        if isinstance(tensor, nn.Parameter):
            held.num_bytes = 0
        self._change(held, 1)
        return held

    def _change(self, held: "_Held", by: int) -> None:
        before = self._users.get(held.place, 0)
        self._users[held.place] = before + by
        if (before, by) == (0, 1):
            self._now += held.num_bytes
            self.peak = max(self.peak, self._now)
        elif (before, by) == (1, -1):
            self._now -= held.num_bytes


class _Held:
    """A tensor for as long as a graph needs it."""

    def __init__(self, owner: SavedBytes, tensor: torch.Tensor, place: int, num_bytes: int) -> None:
        self.owner, self.tensor, self.place, self.num_bytes = owner, tensor, place, num_bytes

    def __del__(self) -> None:
        self.owner._change(self, -1)
