"""Losses for matching pictures with conditions or texts."""

import torch
from torch.nn import functional as F


def matching_loss(
    logits: torch.Tensor,  # [N, N], picture i against condition j
    condition_keys: torch.Tensor,  # int64 [N], equal for conditions with the same meaning
) -> torch.Tensor:
    """Cross-entropy of each picture's own condition among all conditions of the batch that differ from it.

    The matching-aware term of Reed et al., "Generative adversarial text to image synthesis" (ICML 2016), taken over all
    pairs of the batch as in Zhang et al., "Cross-modal contrastive learning for text-to-image generation" (CVPR 2021).
    Another condition with the same key also describes the picture, so it is masked.
    """
    has_same_meaning = condition_keys[:, None] == condition_keys[None, :]
    has_same_meaning.fill_diagonal_(False)
    target = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits.float().masked_fill(has_same_meaning, float("-inf")), target)


def contrast_loss(
    logits: torch.Tensor,  # [N, N], picture i against text j
    keys: torch.Tensor,  # int64 [N], equal for texts with the same meaning
    is_true: torch.Tensor,  # bool [N], whether text i is true of picture i
) -> torch.Tensor:
    """Contrastive loss of true pairs against the other pairs of the batch.

    `matching_loss` in both directions, as in Radford et al. (ICML 2021), plus the binary cross-entropy of mismatched
    pairs. Texts that are false of their own picture are left out; the loss is 0 without true texts.
    """
    rows = is_true.nonzero()[:, 0]
    logits, keys = logits[rows][:, rows], keys[rows]
    if not len(rows):
        return logits.sum()
    others = logits[keys[:, None] != keys[None, :]]
    binary = F.softplus(others).mean() if len(others) else others.sum()
    return matching_loss(logits, keys) + matching_loss(logits.T, keys) + binary
