"""Measures the memory that autograd saves for backward passes, which grows with the batch."""

from types import TracebackType

import torch
from torch import nn


class SavedBytes:
    """A context manager; `peak` is the largest number of bytes saved for backward passes at one time within it.

    Each storage counts once, on any device; parameters do not count.
    """

    def __init__(self) -> None:
        self.peak = self._now = 0
        self._users: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda saved: saved.tensor)

    def __enter__(self) -> "SavedBytes":
        self._hooks.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hooks.__exit__(kind, error, at)

    def _pack(self, tensor: torch.Tensor) -> "_SavedTensor":
        storage = tensor.untyped_storage()
        saved = _SavedTensor(self, tensor, storage.data_ptr(), storage.nbytes())
        if isinstance(tensor, nn.Parameter):
            saved.num_bytes = 0
        self._change(saved, 1)
        return saved

    def _change(self, saved: "_SavedTensor", by: int) -> None:
        num_users = self._users.get(saved.address, 0)
        self._users[saved.address] = num_users + by
        if (num_users, by) == (0, 1):
            self._now += saved.num_bytes
            self.peak = max(self.peak, self._now)
        elif (num_users, by) == (1, -1):
            self._now -= saved.num_bytes


class _SavedTensor:
    """A tensor that a graph saves; deleted together with the graph."""

    def __init__(self, owner: SavedBytes, tensor: torch.Tensor, address: int, num_bytes: int) -> None:
        self.owner, self.tensor, self.address, self.num_bytes = owner, tensor, address, num_bytes

    def __del__(self) -> None:
        self.owner._change(self, -1)
