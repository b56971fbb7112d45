"""Losses of texts, token by token, against int64 [N, T] targets, PAD not counting."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ganrnn.text.vocabulary import PAD

_MOST_LOGITS = 2**22  # held at a time: 16 MB, about what a cache holds


def cross_entropies(
    logits: torch.Tensor,  # [N, T, V]
    targets: torch.Tensor,
    smoothing: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum over all targets, in nats, and the same with smoothed labels (Szegedy et al. 2016)."""
    flat, wanted = logits.flatten(0, 1), targets.flatten()
    loss = F.cross_entropy(flat, wanted, ignore_index=PAD, reduction="sum")
    if not smoothing:
        return loss, loss
    smoothed = F.cross_entropy(flat, wanted, ignore_index=PAD, reduction="sum", label_smoothing=smoothing)
    return loss, smoothed


def linear_cross_entropies(
    features: torch.Tensor,  # [N, T, D]
    weight: torch.Tensor,  # [V, D]
    bias: torch.Tensor,  # [V]
    targets: torch.Tensor,
    smoothing: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`cross_entropies` of the logits that a last layer makes of features, of which never all are held.

    Many logits are made in pieces, and their gradients with them; the first of the two sums has none then.
    """
    if targets.numel() * len(weight) <= _MOST_LOGITS:
        return cross_entropies(F.linear(features, weight, bias), targets, smoothing)
    mask = targets != PAD
    loss, objective = _InPieces.apply(features[mask], weight, bias, targets[mask], smoothing)
    return loss, objective


class _InPieces(torch.autograd.Function):
    """Features [M, D], a layer and targets [M] to both sums."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        targets: torch.Tensor,
        smoothing: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        num_tokens, learns = len(weight), any(ctx.needs_input_grad)
        loss, objective = features.new_zeros(()), features.new_zeros(())
        gradients = [torch.empty_like(features), torch.zeros_like(weight), torch.zeros_like(bias)] if learns else []
        size = max(1, _MOST_LOGITS // num_tokens)
        for start in range(0, len(targets), size):
            held, wanted = features[start : start + size], targets[start : start + size, None]
            logits = torch.addmm(bias, held, weight.T)
            sums = logits.logsumexp(1, keepdim=True)
            own = (sums - logits.gather(1, wanted)).sum()
            loss += own
            objective += (1.0 - smoothing) * own
            if smoothing:
                objective += smoothing * (sums.sum() - logits.sum() / num_tokens)
            if learns:
                by_logit = logits.sub_(sums).exp_().sub_(smoothing / num_tokens)
                by_logit.scatter_add_(1, wanted, torch.full_like(sums, smoothing - 1.0))
                torch.mm(by_logit, weight, out=gradients[0][start : start + size])
                gradients[1].addmm_(by_logit.T, held)
                gradients[2].add_(by_logit.sum(0))
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(loss)
        return loss, objective

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: torch.Tensor, by_objective: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # In place: a second call would find them changed, which torch refuses.
        return *(gradient.mul_(by_objective) for gradient in ctx.saved_tensors), None, None


def coverage_loss(shares: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """How much attention went where it had been before, summed over all targets (See et al. 2017).

    `shares`, float [N, T, S], is what of each source is attended to at each step.
    """
    before = shares.cumsum(1) - shares
    return (torch.minimum(shares, before).sum(2) * (targets != PAD)).sum()
