"""Adversarial losses: functions of logits, float32 [N] each, to a scalar."""

import torch
from torch.nn import functional as F


def relativistic_loss(
    ahead: torch.Tensor,  # [N] logits that should be the larger ones
    behind: torch.Tensor,  # [N] logits of their partners
) -> torch.Tensor:
    """Mean of softplus(behind - ahead).

    The discriminator wants real ahead of generated, the generator the reverse. Jolicoeur-Martineau, "The relativistic
    discriminator" (ICLR 2019), in the paired form of Huang et al., "The GAN is dead; long live the GAN!" (NeurIPS
    2024).
    """
    return F.softplus(behind - ahead).mean()
