"""A baseline for policy gradients: the mean return at each position of a text."""

import torch
from torch import nn

from ganrnn import distributed

_LEAST_RATE = 0.05


class ReturnBaseline(nn.Module):
    """A moving mean of the returns at each position, in buffers [T], the same on all workers.

    It is the plain mean of the first twenty batches and an exponential mean after them.
    """

    mean: torch.Tensor
    num_batches: torch.Tensor  # with a token at the position

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_tokens))
        self.register_buffer("num_batches", torch.zeros(num_tokens))

    def forward(self, returns: torch.Tensor) -> torch.Tensor:
        """Advantages: returns [N, T] minus the mean of earlier batches, without the batch itself."""
        return returns - self.mean[: returns.shape[1]]

    @torch.no_grad()
    def update(self, returns: torch.Tensor, mask: torch.Tensor) -> None:
        """Update the mean by the returns [N, T] of a batch; each worker has a part of it."""
        sums = self.mean.new_zeros(2, len(self.mean))
        sums[0, : returns.shape[1]] = (returns * mask).sum(0)
        sums[1, : returns.shape[1]] = mask.sum(0)
        total, count = distributed.sum_over_workers(sums)
        self.num_batches += count > 0
        rate = (1.0 / self.num_batches.clamp_min(1.0)).clamp_min(_LEAST_RATE)
        self.mean += torch.where(count > 0, rate * (total / count.clamp_min(1.0) - self.mean), 0.0)
