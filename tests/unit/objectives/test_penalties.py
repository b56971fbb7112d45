"""Gradient penalties against functions whose gradient is known."""

import pytest
import torch

from ganrnn.objectives.penalties import around, between, gradient_penalty, unit_norm_penalty


def images(num: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 3, 4, 4, dtype=torch.float64, generator=generator).requires_grad_()


def test_a_linear_function_has_the_penalty_of_its_weights() -> None:
    x = images()
    weights = torch.linspace(-1, 1, 48, dtype=torch.float64).view(3, 4, 4)
    penalty = gradient_penalty((x * weights).sum((1, 2, 3)) + 5, x)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(weights.square().sum().item(), rel=1e-6)


def test_a_quadratic_function_has_four_times_its_mean_square() -> None:
    x = images()
    penalty = gradient_penalty(x.square().sum((1, 2, 3)), x)
    expected = 4 * x.detach().square().sum((1, 2, 3)).mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-6)
    # d/dx of mean(|2x|^2) = 8x / N
    (gradient,) = torch.autograd.grad(penalty, x)
    torch.testing.assert_close(gradient, 8 * x.detach() / 3, rtol=1e-5, atol=1e-6)


def test_it_reaches_the_weights_of_the_function() -> None:
    weight = torch.tensor(3.0, requires_grad=True)
    x = torch.zeros(2, 3, 4, 4, requires_grad=True)
    gradient_penalty(weight * x.sum((1, 2, 3)), x).backward()
    # 48 pixels with a gradient of w each: d/dw (48 w^2) = 96 w
    assert weight.grad is not None and weight.grad.item() == pytest.approx(288.0)


def test_a_picture_is_charged_for_its_own_logit_alone() -> None:
    x = images(2)
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    penalty = gradient_penalty(scale * x.sum((1, 2, 3)), x)
    assert penalty.item() == pytest.approx(48 * (1 + 100) / 2, rel=1e-6)


def test_the_norm_of_a_linear_function_is_held_to_one() -> None:
    # Slopes (3, 4) and (0.3, 0.4): norms 5 and 0.5, distances from one 4 and -0.5.
    x = torch.zeros(2, 2, requires_grad=True)
    slopes = torch.tensor([[3.0, 4.0], [0.3, 0.4]], requires_grad=True)
    both = unit_norm_penalty((x * slopes).sum(1), x)
    assert both.item() == pytest.approx((16 + 0.25) / 2)
    assert unit_norm_penalty((x * slopes).sum(1), x, one_sided=True).item() == pytest.approx(8.0)
    # d/ds of (|s| - 1)^2 / 2 rows = (|s| - 1) s / |s|
    (gradient,) = torch.autograd.grad(both, slopes)
    expected = torch.tensor([[4 * 0.6, 4 * 0.8], [-0.5 * 0.6, -0.5 * 0.8]])
    torch.testing.assert_close(gradient, expected)


def test_a_flat_function_has_a_finite_slope_of_its_penalty() -> None:
    weight = torch.zeros(2, requires_grad=True)
    x = torch.ones(1, 2, requires_grad=True)
    penalty = unit_norm_penalty((x * weight).sum(1), x)
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0, abs=1e-5)
    assert weight.grad is not None and weight.grad.isfinite().all()


def test_points_lie_between_generated_and_real() -> None:
    real, fake = torch.full((3, 1, 2, 2), 1.0), torch.full((3, 1, 2, 2), -1.0)
    points = between(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert points.requires_grad and points[:, 0, 0, 0].tolist() == [-1.0, -0.5, 1.0]
    assert points.flatten(1).std(1).tolist() == [0.0, 0.0, 0.0]


def test_points_lie_around_real_rows_by_their_own_spread() -> None:
    real = torch.tensor([[0.0, 2.0], [5.0, 5.0]])  # spreads sqrt(2) and 0
    points = around(real, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert points.requires_grad
    torch.testing.assert_close(points.detach(), torch.tensor([[0.5 * 2**0.5, 2.0], [5.0, 5.0]]))


@pytest.mark.parametrize("name", ["r1", "unit_norm", "one_sided", "dragan"])
def test_the_mean_of_halves_is_the_whole(name: str) -> None:
    """What two workers compute on half a batch each, averaged, their slopes included."""
    generator = torch.Generator().manual_seed(0)
    real, fake, noise = torch.randn(3, 8, 3, generator=generator)
    share = torch.rand(8, generator=generator)
    weight = torch.randn(3, generator=generator).requires_grad_()

    def penalty(rows: slice) -> torch.Tensor:
        points = around(real[rows], noise[rows]) if name == "dragan" else between(real[rows], fake[rows], share[rows])
        logits = (points * weight).square().sum(1)
        if name == "r1":
            return gradient_penalty(logits, points)
        return unit_norm_penalty(logits, points, one_sided=name == "one_sided")

    halves = (penalty(slice(0, 4)) + penalty(slice(4, 8))) / 2
    whole = penalty(slice(0, 8))
    torch.testing.assert_close(halves, whole)
    torch.testing.assert_close(torch.autograd.grad(halves, weight), torch.autograd.grad(whole, weight))
