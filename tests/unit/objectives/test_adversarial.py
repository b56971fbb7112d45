"""Adversarial objectives: numbers by hand, slopes by hand, halves of a batch, far logits."""

import math
from typing import Any

import pytest
import torch

from ganrnn.objectives.adversarial import OBJECTIVES, relativistic_loss

# On two pairs of logits, real (2, -1) and generated (1, -3); sp(x) = log(1 + exp(x)).
REAL, FAKE = (2.0, -1.0), (1.0, -3.0)


def sp(x: float) -> float:
    return math.log1p(math.exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


CROSS_ENTROPY = (sp(-2) + sp(1)) / 2 + (sp(1) + sp(-3)) / 2
# name -> (loss of the discriminator, of the generator)
LOSSES = {
    "minimax": (CROSS_ENTROPY, -(sp(1) + sp(-3)) / 2),
    "non_saturating": (CROSS_ENTROPY, (sp(-1) + sp(3)) / 2),
    # ((2-1)^2 + (-1-1)^2) / 2 = 2.5, (1 + 9) / 2 = 5, halved together; ((1-1)^2 + (-3-1)^2) / 2 / 2 = 4
    "least_squares": (3.75, 4.0),
    # (0 + 2) / 2 + (2 + 0) / 2
    "hinge": (2.0, 1.0),
    "wasserstein": (-1.0 - 0.5, 1.0),
    "relativistic": ((sp(-1) + sp(-2)) / 2, (sp(1) + sp(2)) / 2),
}
# name -> slopes of the discriminator's loss in REAL and in FAKE, of the generator's in FAKE
SLOPES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "minimax": (
        (-sigmoid(-2) / 2, -sigmoid(1) / 2),
        (sigmoid(1) / 2, sigmoid(-3) / 2),
        (-sigmoid(1) / 2, -sigmoid(-3) / 2),
    ),
    "non_saturating": (
        (-sigmoid(-2) / 2, -sigmoid(1) / 2),
        (sigmoid(1) / 2, sigmoid(-3) / 2),
        (-sigmoid(-1) / 2, -sigmoid(3) / 2),
    ),
    "least_squares": ((0.5, -1.0), (0.5, -1.5), (0.0, -2.0)),
    "hinge": ((0.0, -0.5), (0.5, 0.0), (-0.5, -0.5)),
    "wasserstein": ((-0.5, -0.5), (0.5, 0.5), (-0.5, -0.5)),
    "relativistic": (
        (-sigmoid(-1) / 2, -sigmoid(-2) / 2),
        (sigmoid(-1) / 2, sigmoid(-2) / 2),
        (-sigmoid(1) / 2, -sigmoid(2) / 2),
    ),
}


def test_every_objective_is_held_against_its_formula() -> None:
    assert LOSSES.keys() == SLOPES.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_numbers_by_hand(name: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    objective, (discriminator, generator) = OBJECTIVES[name], LOSSES[name]
    assert objective.discriminator(real, fake).item() == pytest.approx(discriminator, rel=1e-6)
    assert objective.generator(real, fake).item() == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_slopes_by_hand(name: str) -> None:
    real, fake = (torch.tensor(logits, requires_grad=True) for logits in (REAL, FAKE))
    objective, (in_real, in_fake, in_painted) = OBJECTIVES[name], SLOPES[name]
    for slope, expected in zip(
        torch.autograd.grad(objective.discriminator(real, fake), (real, fake)), (in_real, in_fake), strict=True
    ):
        assert slope.tolist() == pytest.approx(expected, abs=1e-6)
    (slope,) = torch.autograd.grad(objective.generator(real, fake), fake)
    assert slope.tolist() == pytest.approx(in_painted, abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_mean_of_halves_is_the_whole(name: str) -> None:
    """What two workers compute on half a batch each, averaged."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 8, generator=generator)
    for loss in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        halves = [loss(real[part], fake[part]) for part in (slice(0, 4), slice(4, 8))]
        torch.testing.assert_close((halves[0] + halves[1]) / 2, loss(real, fake))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_far_logits_stay_finite(name: str) -> None:
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    for loss in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        value = loss(far, -far)
        (slope,) = torch.autograd.grad(value, far)
        assert value.isfinite() and slope.isfinite().all()


def test_the_saturating_generator_has_no_slope_where_the_discriminator_is_sure() -> None:
    def slope_at(name: str, logit: float) -> float:
        fake = torch.tensor([logit], requires_grad=True)
        slope: Any = torch.autograd.grad(OBJECTIVES[name].generator(fake.detach(), fake), fake)[0]
        return float(slope)

    assert abs(slope_at("minimax", -20.0)) < 1e-8
    assert slope_at("non_saturating", -20.0) == pytest.approx(-1.0)


def test_only_the_difference_of_partners_counts_for_the_relativistic_loss() -> None:
    ahead, behind = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 1.0, 0.5])
    assert relativistic_loss(ahead + 7, behind + 7).item() == pytest.approx(relativistic_loss(ahead, behind).item())
    assert relativistic_loss(ahead, behind.flip(0)).item() != pytest.approx(relativistic_loss(ahead, behind).item())
