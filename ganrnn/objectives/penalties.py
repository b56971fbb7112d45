"""Gradient penalties on the discriminator."""

import torch


def gradient_penalty(
    logits: torch.Tensor,  # [N]
    images: torch.Tensor,  # [N, 3, H, W], requires grad
) -> torch.Tensor:
    """Mean squared norm of the logits' gradient at the pictures: R1 on real ones, R2 on generated ones.

    Mescheder et al., "Which training methods for GANs do actually converge?" (ICML 2018). The result is differentiable
    and kept in float32; the caller multiplies by gamma / 2.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean()
