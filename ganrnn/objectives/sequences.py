"""Losses of texts, summed over tokens, against targets int64 [N, T] without PAD."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ganrnn.text.vocabulary import PAD

_MAX_LOGITS = 2**22  # in memory at a time: 16 MB, about the size of a cache


def cross_entropies(
    logits: torch.Tensor,  # [N, T, V]
    targets: torch.Tensor,
    smoothing: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropy summed over all targets, in nats, and the same with smoothed labels (Szegedy et al. 2016)."""
    flat_logits, flat_targets = logits.flatten(0, 1), targets.flatten()
    loss = F.cross_entropy(flat_logits, flat_targets, ignore_index=PAD, reduction="sum")
    if not smoothing:
        return loss, loss
    smoothed = F.cross_entropy(flat_logits, flat_targets, ignore_index=PAD, reduction="sum", label_smoothing=smoothing)
    return loss, smoothed


def linear_cross_entropies(
    features: torch.Tensor,  # [N, T, D]
    weight: torch.Tensor,  # [V, D]
    bias: torch.Tensor,  # [V]
    targets: torch.Tensor,
    smoothing: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`cross_entropies` of the logits of a last linear layer, without all logits in memory at once.

    Many logits are computed in pieces together with their gradients; the first of the two sums then has no gradient.
    """
    if targets.numel() * len(weight) <= _MAX_LOGITS:
        return cross_entropies(F.linear(features, weight, bias), targets, smoothing)
    mask = targets != PAD
    loss, objective = _PiecewiseCrossEntropies.apply(features[mask], weight, bias, targets[mask], smoothing)
    return loss, objective


class _PiecewiseCrossEntropies(torch.autograd.Function):
    """Both sums from features [M, D], a linear layer and targets [M]; computes the gradients in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        targets: torch.Tensor,
        smoothing: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        num_tokens, needs_gradients = len(weight), any(ctx.needs_input_grad)
        loss, objective = features.new_zeros(()), features.new_zeros(())
        gradients = (
            [torch.empty_like(features), torch.zeros_like(weight), torch.zeros_like(bias)] if needs_gradients else []
        )
        size = max(1, _MAX_LOGITS // num_tokens)
        for start in range(0, len(targets), size):
            piece, piece_targets = features[start : start + size], targets[start : start + size, None]
            logits = torch.addmm(bias, piece, weight.T)
            log_sums = logits.logsumexp(1, keepdim=True)
            losses = (log_sums - logits.gather(1, piece_targets)).sum()
            loss += losses
            objective += (1.0 - smoothing) * losses
            if smoothing:
                objective += smoothing * (log_sums.sum() - logits.sum() / num_tokens)
            if needs_gradients:
                logit_gradients = logits.sub_(log_sums).exp_().sub_(smoothing / num_tokens)
                logit_gradients.scatter_add_(1, piece_targets, torch.full_like(log_sums, smoothing - 1.0))
                torch.mm(logit_gradients, weight, out=gradients[0][start : start + size])
                gradients[1].addmm_(logit_gradients.T, piece)
                gradients[2].add_(logit_gradients.sum(0))
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(loss)
        return loss, objective

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: torch.Tensor, by_objective: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # In place: torch refuses a second call, whose saved tensors would have changed.
        return *(gradient.mul_(by_objective) for gradient in ctx.saved_tensors), None, None


def coverage_loss(shares: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The coverage loss of attention, summed over all targets (See et al. 2017).

    `shares`, float [N, T, S], are the attention weights over the source at each step.
    """
    coverage = shares.cumsum(1) - shares
    return (torch.minimum(shares, coverage).sum(2) * (targets != PAD)).sum()
