"""Losses of texts, token by token: float [N, T, V] logits against int64 [N, T] targets, PAD not counting."""

import torch
from torch.nn import functional as F

from ganrnn.text_vocabulary import PAD


def cross_entropies(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum over all targets, in nats, and the same with smoothed labels (Szegedy et al. 2016)."""
    flat, wanted = logits.flatten(0, 1), targets.flatten()
    loss = F.cross_entropy(flat, wanted, ignore_index=PAD, reduction="sum")
    if not smoothing:
        return loss, loss
    smoothed = F.cross_entropy(flat, wanted, ignore_index=PAD, reduction="sum", label_smoothing=smoothing)
    return loss, smoothed


def read_twice(shares: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """How much attention went where it had been before, summed over all targets (See et al. 2017).

    `shares`, float [N, T, S], is what of each source is attended to at each step.
    """
    before = shares.cumsum(1) - shares
    return (torch.minimum(shares, before).sum(2) * (targets != PAD)).sum()
