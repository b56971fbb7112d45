"""The matching loss: numbers by hand, conditions that mean the same are no mismatches."""

import math

import pytest
import torch

from ganrnn.objectives.matching import contrast_loss, matching_loss

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [3.0, 0.0, 0.0]])


def cross_entropy(true_logit: float, *others: float) -> float:
    return math.log(sum(math.exp(x) for x in (true_logit, *others))) - true_logit


def test_numbers_by_hand() -> None:
    rows = [cross_entropy(2, 0, 1), cross_entropy(1, 0, 0), cross_entropy(0, 3, 0)]
    loss = matching_loss(LOGITS, torch.tensor([5, 6, 7]))
    assert loss.item() == pytest.approx(sum(rows) / 3, rel=1e-6) == pytest.approx(1.351325, rel=1e-6)


def test_equal_conditions_are_masked() -> None:
    rows = [cross_entropy(2, 0), cross_entropy(1, 0, 0), cross_entropy(0, 0)]
    loss = matching_loss(LOGITS, torch.tensor([5, 6, 5]))
    assert loss.item() == pytest.approx(sum(rows) / 3, rel=1e-6) == pytest.approx(0.457173, rel=1e-6)


def test_a_masked_pair_gets_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    matching_loss(logits, torch.tensor([5, 6, 5])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0 and logits.grad[2, 0] == 0
    assert (logits.grad.diagonal() < 0).all() and logits.grad[0, 1] > 0


def test_nothing_to_tell_apart_costs_nothing() -> None:
    assert matching_loss(LOGITS, torch.tensor([5, 5, 5])).item() == 0
    assert matching_loss(torch.tensor([[4.0]]), torch.tensor([1])).item() == 0


def test_the_keys_and_logits_given_are_left_alone() -> None:
    logits, keys = LOGITS.clone(), torch.tensor([5, 6, 5])
    matching_loss(logits, keys)
    assert torch.equal(logits, LOGITS) and keys.tolist() == [5, 6, 5]
    assert matching_loss(LOGITS.half(), keys).dtype == torch.float32


def test_gradients() -> None:
    torch.manual_seed(0)
    keys = torch.tensor([1, 2, 1, 3])
    # The loss itself is taken in float32, too coarse for finite differences: its gradient is held against the formula.
    logits = torch.randn(4, 4, requires_grad=True)
    matching_loss(logits, keys).backward()
    masked = logits.detach().masked_fill((keys[:, None] == keys) & ~torch.eye(4, dtype=torch.bool), float("-inf"))
    torch.testing.assert_close(logits.grad, (masked.softmax(1) - torch.eye(4)) / 4)


def test_contrast_is_both_ways_and_binary() -> None:
    keys, everything = torch.tensor([5, 6, 7]), torch.ones(3, dtype=torch.bool)
    others = [0.0, 1.0, 0.0, 0.0, 3.0, 0.0]
    binary = sum(math.log(1 + math.exp(x)) for x in others) / 6
    expected = matching_loss(LOGITS, keys) + matching_loss(LOGITS.T, keys) + binary
    assert contrast_loss(LOGITS, keys, everything).item() == pytest.approx(expected.item(), rel=1e-6)


def test_false_pairs_stay_out_of_the_contrast() -> None:
    keys, is_true = torch.tensor([5, 6, 7]), torch.tensor([True, False, True])
    rest = LOGITS[[0, 2]][:, [0, 2]]
    expected = contrast_loss(rest, keys[[0, 2]], torch.ones(2, dtype=torch.bool))
    logits = LOGITS.clone().requires_grad_()
    loss = contrast_loss(logits, keys, is_true)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert logits.grad is not None and logits.grad[1].abs().max() == logits.grad[:, 1].abs().max() == 0


def test_contrast_of_nothing_is_0_and_has_a_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    none, same = torch.zeros(3, dtype=torch.bool), torch.tensor([5, 5, 5])
    for keys, is_true in ((torch.tensor([5, 6, 7]), none), (same, ~none)):
        loss = contrast_loss(logits, keys, is_true)
        assert loss.item() == 0
        loss.backward()
