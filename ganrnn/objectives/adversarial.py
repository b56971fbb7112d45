"""Adversarial objectives: functions from logits, float32 [N] each, to the scalar loss of a player.

Every loss is a mean over rows or pairs of rows, so that the mean over equal parts of a batch is the loss of the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

ObjectiveName = Literal["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"]


@dataclass(frozen=True)
class Objective:
    """The losses of both players, given the logits of real and of generated rows.

    The generator's loss depends on the logits of real rows only if `is_relative`.
    """

    discriminator: Loss
    generator: Loss
    is_relative: bool = False


def cross_entropy_discriminator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """-E log D(x) - E log(1 - D(G(z))), where D is the sigmoid of the logit.

    Goodfellow et al., "Generative adversarial nets" (NeurIPS 2014), equation 1.
    """
    return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()


def minimax_generator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """E log(1 - D(G(z))) of equation 1, whose gradient vanishes where the discriminator is certain."""
    return -F.softplus(on_fake).mean()


def non_saturating_generator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """-E log D(G(z)), the loss of section 3 of the same paper."""
    return F.softplus(-on_fake).mean()


def least_squares_discriminator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """Half the squared distances to 1 and 0.

    Mao et al., "Least squares generative adversarial networks" (ICCV 2017).
    """
    return ((on_real - 1).square().mean() + on_fake.square().mean()) / 2


def least_squares_generator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """Half the squared distance to 1 (same paper)."""
    return (on_fake - 1).square().mean() / 2


def hinge_discriminator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """Margins of 1 on either side: Lim and Ye, "Geometric GAN" (2017)."""
    return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()


def wasserstein_discriminator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """The critic's difference of means: Arjovsky et al., "Wasserstein generative adversarial networks" (ICML 2017)."""
    return on_fake.mean() - on_real.mean()


def raise_logit_generator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """-E D(G(z)), for the Wasserstein and the hinge discriminator."""
    return -on_fake.mean()


def relativistic_loss(
    ahead: torch.Tensor,  # [N] logits that should be larger
    behind: torch.Tensor,  # [N] logits of the paired rows
) -> torch.Tensor:
    """Mean of softplus(behind - ahead).

    Real rows are `ahead` for the discriminator, generated rows for the generator. Jolicoeur-Martineau, "The
    relativistic discriminator" (ICLR 2019), in the paired form of Huang et al., "The GAN is dead; long live the GAN!"
    (NeurIPS 2024).
    """
    return F.softplus(behind - ahead).mean()


def relativistic_generator(on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
    """`relativistic_loss` with generated rows `ahead`."""
    return relativistic_loss(on_fake, on_real)


OBJECTIVES: Mapping[str, Objective] = {
    "minimax": Objective(cross_entropy_discriminator, minimax_generator),
    "non_saturating": Objective(cross_entropy_discriminator, non_saturating_generator),
    "least_squares": Objective(least_squares_discriminator, least_squares_generator),
    "hinge": Objective(hinge_discriminator, raise_logit_generator),
    "wasserstein": Objective(wasserstein_discriminator, raise_logit_generator),
    "relativistic": Objective(relativistic_loss, relativistic_generator, is_relative=True),
}
