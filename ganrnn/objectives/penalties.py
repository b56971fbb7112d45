"""Gradient penalties of a discriminator, at real, generated or interpolated points.

All are differentiable and in float32. Points are rows of any shape, [N, ...], that require a gradient.
"""

from collections.abc import Callable
from typing import Literal

import torch

PenaltyName = Literal["none", "r1", "r1_r2", "gradient", "one_sided_gradient", "dragan", "clip"]

# The papers' weights: gamma (a penalty is multiplied by half of it), lambda, or the bound of each weight.
USUAL_WEIGHTS = {
    "none": 0.0,
    "r1": 0.5,
    "r1_r2": 0.5,
    "gradient": 10.0,
    "one_sided_gradient": 10.0,
    "dragan": 10.0,
    "clip": 0.01,
}


def slope_penalty(
    name: PenaltyName,
    weight: float,
    discriminate: Callable[[torch.Tensor], torch.Tensor],  # points [N, ...] to logits [N]
    real: tuple[torch.Tensor, torch.Tensor],  # rows [N, ...], requiring a gradient, and their logits [N]
    fake: tuple[torch.Tensor, torch.Tensor],  # the same of generated rows
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weighted penalty `name`, and its parts for the log. Random points come from torch's global generator."""
    real_rows, on_real = real
    fake_rows, on_fake = fake
    if name in ("r1", "r1_r2"):
        parts = {"r1": gradient_penalty(on_real, real_rows)}
        if name == "r1_r2":
            parts["r2"] = gradient_penalty(on_fake, fake_rows)
        return weight / 2 * torch.stack([*parts.values()]).sum(), parts
    if name == "dragan":
        points = around(real_rows, torch.rand_like(real_rows))
    else:
        points = between(real_rows, fake_rows, torch.rand(len(fake_rows), device=fake_rows.device))
    penalty = unit_norm_penalty(discriminate(points), points, one_sided=name == "one_sided_gradient")
    return weight * penalty, {"slope_penalty": penalty}


def gradient_penalty(
    logits: torch.Tensor,  # [N]
    points: torch.Tensor,  # [N, ...]
) -> torch.Tensor:
    """Mean squared gradient norm: R1 at real rows, R2 at generated rows; the caller multiplies by gamma / 2.

    Mescheder et al., "Which training methods for GANs do actually converge?" (ICML 2018).
    """
    return _squared_norms(logits, points).mean()


def unit_norm_penalty(
    logits: torch.Tensor,  # [N]
    points: torch.Tensor,  # [N, ...]
    one_sided: bool = False,
) -> torch.Tensor:
    """Mean squared difference of the gradient norm from 1; one-sided, only for norms above 1.

    Gulrajani et al., "Improved training of Wasserstein GANs" (NeurIPS 2017), at points `between` real and generated
    rows; the one-sided form is that of Petzka et al., "On the regularization of Wasserstein GANs" (ICLR 2018). The
    caller multiplies by lambda, 10 in both papers.
    """
    # The square root has no derivative at 0, and a discriminator may be flat.
    excess = (_squared_norms(logits, points) + 1e-12).sqrt() - 1
    return (excess.clamp(min=0) if one_sided else excess).square().mean()


def between(
    real: torch.Tensor,  # [N, ...]
    fake: torch.Tensor,  # [N, ...]
    share: torch.Tensor,  # [N], 0 to 1: uniform in the paper
) -> torch.Tensor:
    """Points on the lines from generated to real rows, for `unit_norm_penalty`; they require a gradient."""
    share = share.view(-1, *[1] * (real.dim() - 1))
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def around(
    real: torch.Tensor,  # [N, ...]
    noise: torch.Tensor,  # [N, ...], 0 to 1: uniform in the paper
) -> torch.Tensor:
    """Real rows plus noise times half the standard deviation of the row's values, for `unit_norm_penalty`.

    Kodali et al., "On convergence and stability of GANs" (DRAGAN, 2017). The deviation is that of the row and not of
    the batch, so that a row's penalty does not depend on its neighbours.
    """
    deviation = real.detach().flatten(1).std(1).view(-1, *[1] * (real.dim() - 1))
    return (real.detach() + 0.5 * deviation * noise).requires_grad_()


def _squared_norms(logits: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
    return gradient.float().flatten(1).square().sum(1)
