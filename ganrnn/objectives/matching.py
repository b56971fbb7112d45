"""Matching losses: does the picture show what the text says?"""

import torch
from torch.nn import functional as F


def matching_loss(
    logits: torch.Tensor,  # [N, N], picture i against condition j
    condition_keys: torch.Tensor,  # int64 [N], equal where two conditions mean the same
) -> torch.Tensor:
    """Cross-entropy of each picture's own condition among all conditions of the batch that differ from it.

    The matching-aware term of Reed et al., "Generative adversarial text to image synthesis" (ICML 2016), taken over all
    pairs of the batch as in Zhang et al., "Cross-modal contrastive learning for text-to-image generation" (CVPR 2021).
    A condition with the same key is true of the picture too, so it is no mismatch and is masked.
    """
    same = condition_keys[:, None] == condition_keys[None, :]
    same.fill_diagonal_(False)
    target = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits.float().masked_fill(same, float("-inf")), target)


def contrast_loss(
    logits: torch.Tensor,  # [N, N], picture i against text j
    keys: torch.Tensor,  # int64 [N], equal where two texts mean the same
    is_true: torch.Tensor,  # bool [N], whether picture i shows what text i says
) -> torch.Tensor:
    """What tells true pairs from the other pairs of the batch: which text, which picture, and whether it is any.

    `matching_loss` both ways, as in Radford et al. (ICML 2021), plus the binary loss of pairs that do not belong
    together. Texts that are false of their own picture say nothing about the others and stay out; 0 without true ones.
    """
    rows = is_true.nonzero()[:, 0]
    logits, keys = logits[rows][:, rows], keys[rows]
    if not len(rows):
        return logits.sum()
    others = logits[keys[:, None] != keys[None, :]]
    binary = F.softplus(others).mean() if len(others) else others.sum()
    return matching_loss(logits, keys) + matching_loss(logits.T, keys) + binary
