"""Sampling of tokens by temperature, min_p, top_k and top_p, with exact sums, so that no row depends on the others."""

from collections.abc import Sequence

import torch

from ganrnn import exact
from ganrnn.decoding.rules import Decoding

_FEW_TOKENS = 512  # top_k and top_p sort this many likeliest tokens first, and all tokens only if needed


def sampled_tokens(
    logits: torch.Tensor,  # [N, V], -inf where a token is not allowed
    keys: torch.Tensor,  # [N, V], `exact.ranks` of the logits
    rules: Sequence[Decoding],
    uniform: Sequence[float],  # [N], 0 to 1, which pick the tokens
) -> torch.Tensor:
    """One token int64 for each row, by the rules of that row."""
    num_tokens = logits.shape[1]
    settings = [
        (r.temperature, r.min_p, r.top_k or num_tokens, r.top_p, number)
        for r, number in zip(rules, uniform, strict=True)
    ]
    columns = torch.tensor(settings, dtype=torch.float64, device=logits.device).T[:, :, None]
    temperature, min_p, top_k, top_p, draws = columns  # [N, 1] each
    weights = exact.shares((logits - logits.amax(1, keepdim=True)) / temperature)
    weights = torch.where(weights < min_p, 0.0, weights)
    tokens = exact.sampled_indices(weights, draws[:, 0])
    rows = ((top_k < num_tokens) | (top_p < 1.0))[:, 0].nonzero()[:, 0]
    if len(rows):
        tokens[rows] = _sampled_from_likeliest(weights[rows], keys[rows], top_k[rows], top_p[rows], draws[rows])
    return tokens


def _sampled_from_likeliest(
    weights: torch.Tensor, keys: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, draws: torch.Tensor
) -> torch.Tensor:
    """One token for each row of weights [N, V], of those that top_k and top_p [N, 1] leave; `draws` [N, 1] picks."""
    num_tokens = weights.shape[1]
    for width in dict.fromkeys((min(_FEW_TOKENS, num_tokens), num_tokens)):
        _, order = keys.topk(width)
        sorted_weights = weights.gather(1, order)
        sorted_weights = torch.where(torch.arange(width, device=weights.device) < top_k, sorted_weights, 0.0)
        total = torch.where(top_k <= width, sorted_weights.sum(1, keepdim=True), weights.sum(1, keepdim=True))
        sums = sorted_weights.cumsum(1)
        # `width` suffices if the total is known and every token that top_p leaves is among the first `width`.
        if bool(((sums[:, -1:] >= top_p * total) & ((top_k <= width) | (top_k >= num_tokens))).all()):
            break
    sorted_weights = torch.where(sums - sorted_weights < top_p * total, sorted_weights, 0.0)
    return order.gather(1, exact.sampled_indices(sorted_weights, draws[:, 0])[:, None])[:, 0]
