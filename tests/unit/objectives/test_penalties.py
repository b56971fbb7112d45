"""The gradient penalty against functions whose gradient is known."""

import pytest
import torch

from ganrnn.objectives.penalties import gradient_penalty


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
