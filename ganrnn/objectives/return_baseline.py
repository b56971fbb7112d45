"""What return a text may expect from each of its places on, so that only what is better is praised."""

import torch
from torch import nn

from ganrnn import distributed

_LEAST_RATE = 0.05


class ReturnBaseline(nn.Module):
    """A moving mean of the returns at each place, in buffers [T], the same on all workers.

    It is the plain mean of the first twenty batches, and forgets after that.
    """

    mean: torch.Tensor
    num_batches: torch.Tensor  # that had a token at the place

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_tokens))
        self.register_buffer("num_batches", torch.zeros(num_tokens))

    def forward(self, returns: torch.Tensor) -> torch.Tensor:
        """How much better than expected returns [N, T] are; batches that were followed decide, so not these."""
        return returns - self.mean[: returns.shape[1]]

    @torch.no_grad()
    def follow(self, returns: torch.Tensor, mask: torch.Tensor) -> None:
        """Learn from the returns [N, T] of a batch, of which each worker has a part."""
        sums = self.mean.new_zeros(2, len(self.mean))
        sums[0, : returns.shape[1]] = (returns * mask).sum(0)
        sums[1, : returns.shape[1]] = mask.sum(0)
        total, count = distributed.sum_over_workers(sums)
        self.num_batches += count > 0
        rate = (1.0 / self.num_batches.clamp_min(1.0)).clamp_min(_LEAST_RATE)
        self.mean += torch.where(count > 0, rate * (total / count.clamp_min(1.0) - self.mean), 0.0)
