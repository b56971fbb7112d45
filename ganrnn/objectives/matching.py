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
