"""The relativistic loss: numbers by hand, gradients."""

import math

import pytest
import torch

from ganrnn.objectives.adversarial import relativistic_loss


def test_equal_logits_cost_log_two() -> None:
    logits = torch.tensor([-40.0, 0.0, 3.5])
    assert relativistic_loss(logits, logits).item() == pytest.approx(math.log(2), rel=1e-6)


def test_numbers_by_hand() -> None:
    ahead, behind = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0])
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert relativistic_loss(ahead, behind).item() == pytest.approx(expected, rel=1e-6)
    assert relativistic_loss(behind, ahead).item() == pytest.approx(expected - 1, rel=1e-6)


def test_only_the_difference_of_partners_counts() -> None:
    ahead, behind = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 1.0, 0.5])
    assert relativistic_loss(ahead + 7, behind + 7).item() == pytest.approx(relativistic_loss(ahead, behind).item())
    assert relativistic_loss(ahead, behind.flip(0)).item() != pytest.approx(relativistic_loss(ahead, behind).item())


def test_far_logits_stay_finite() -> None:
    far = torch.tensor([1e4])
    assert relativistic_loss(far, -far).item() == 0
    assert relativistic_loss(-far, far).item() == pytest.approx(2e4)


def test_gradients() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(relativistic_loss, logits)
    ahead = torch.zeros(4, requires_grad=True)
    relativistic_loss(ahead, torch.zeros(4)).backward()
    assert ahead.grad is not None and ahead.grad.tolist() == [-0.125] * 4
