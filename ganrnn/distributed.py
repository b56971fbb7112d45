"""Data-parallel arithmetic on torch.distributed; without a process group everything is the identity."""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import distributed as dist
from torch import nn

T = TypeVar("T")


def world_size() -> int:
    """Number of data-parallel workers, 1 outside a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This worker's number, 0 outside a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def from_rank_0(value: T) -> T:
    """Rank 0's value on every rank; the values of other ranks are ignored. All ranks have to call it."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def sum_over_workers(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over the workers; `values` is not changed."""
    total = values.clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the workers, in one all-reduce of a flat buffer.

    DistributedDataParallel is not used because its hooks do not support the double backward of gradient penalties.
    Parameters without a gradient are skipped; they must be the same on all workers.
    """
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
