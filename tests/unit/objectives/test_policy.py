"""Rewards, returns and the policy gradient, against numbers worked out by hand and a game that can be enumerated."""

import math
from itertools import product

import pytest
import torch

from ganrnn.objectives import policy

LOGITS = torch.tensor([[0.0, math.log(3), -math.log(3)], [math.log(9), 5.0, 7.0]])
MASK = torch.tensor([[True, True, True], [True, False, False]])


def test_a_reward_is_twice_the_probability_of_being_real_minus_one() -> None:
    expected = [[0.0, 0.5, -0.5], [0.8, 0.0, 0.0]]
    torch.testing.assert_close(policy.rewards(LOGITS, MASK), torch.tensor(expected))


def test_every_prefix_costs_its_cross_entropy() -> None:
    # Probabilities of real are 1/2, 3/4, 1/4 and 9/10.
    real = -sum(math.log(p) for p in (0.5, 0.75, 0.25, 0.9))
    fake = -sum(math.log(1 - p) for p in (0.5, 0.75, 0.25, 0.9))
    assert policy.token_cross_entropy(LOGITS, MASK, True).item() == pytest.approx(real, rel=1e-6)
    assert policy.token_cross_entropy(LOGITS, MASK, False).item() == pytest.approx(fake, rel=1e-6)
    logits = LOGITS.clone().requires_grad_()
    policy.token_cross_entropy(logits, MASK, True).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.5, -0.25, -0.75], [-0.1, 0.0, 0.0]]))


def test_a_return_is_what_is_still_to_come() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0], [-1.0, 0.0, 0.0]])
    expected = torch.tensor([[3.0, 4.0, 4.0], [-1.0, 0.0, 0.0]])
    torch.testing.assert_close(policy.returns(rewards, 0.5), expected)
    torch.testing.assert_close(policy.returns(rewards, 0.0), rewards)
    torch.testing.assert_close(policy.returns(rewards, 1.0)[0], torch.tensor([7.0, 6.0, 4.0]))


def test_the_last_reward_goes_on_behind_the_end_of_a_text() -> None:
    rewards = torch.tensor([[0.5, -0.25, 0.0], [0.1, 0.2, 0.3]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    expected = torch.tensor([[0.5, -0.25, -0.25, -0.25, -0.25], [0.1, 0.2, 0.3, 0.3, 0.3]])
    assert torch.equal(policy.extended_rewards(rewards, mask, 5), expected)
    # So the same reward for all tokens is the same return, however long a text is.
    alike = policy.returns(policy.extended_rewards(torch.full((2, 3), -0.5) * mask, mask, 5), 0.9)
    assert torch.equal(alike[0], alike[1])


def test_the_loss_weighs_log_probabilities_by_advantages_and_teaches_nothing_else() -> None:
    log_probabilities = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, -9.0, -9.0]], requires_grad=True)
    advantages = torch.tensor([[2.0, -1.0, 0.5], [4.0, 8.0, 8.0]], requires_grad=True)
    loss = policy.policy_gradient_loss(log_probabilities, advantages, MASK)
    assert loss.item() == 2.0 - 2.0 + 1.5 + 2.0
    loss.backward()
    assert torch.equal(log_probabilities.grad, torch.tensor([[-2.0, 1.0, -0.5], [-4.0, 0.0, 0.0]]))
    assert advantages.grad is None


def test_entropies_are_those_of_the_choices() -> None:
    shares = torch.tensor([[[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]])
    expected = [[1.5 * math.log(2), math.log(3)]]
    torch.testing.assert_close(policy.entropies(shares.log()), torch.tensor(expected))


@pytest.mark.parametrize(("discount", "baseline"), [(1.0, 0.0), (1.0, 0.7), (0.6, 0.7)])
def test_the_estimator_is_on_average_the_slope_of_the_expected_return(discount: float, baseline: float) -> None:
    """Two choices of three, the second depending on the first: all nine texts, each as often as it is likely."""
    torch.manual_seed(0)
    weights = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)  # at the beginning, and after each choice
    values = torch.randn(3, 4, dtype=torch.float64)  # of a first choice, and of a second after it

    texts = list(product(range(3), range(3)))
    logs = weights.log_softmax(1)
    text_log_probs = torch.stack([torch.stack([logs[0, a], logs[1 + a, b]]) for a, b in texts])
    rewards = torch.stack([torch.stack([values[a, 3], values[a, b]]) for a, b in texts])
    likelihoods = text_log_probs.detach().sum(1).exp()

    returns = policy.returns(rewards, discount)
    mask = torch.ones(1, 2, dtype=torch.bool)
    gradients = [
        torch.autograd.grad(
            policy.policy_gradient_loss(text_log_probs[i : i + 1], returns[i : i + 1] - baseline, mask),
            weights,
            retain_graph=True,
        )[0]
        for i in range(len(texts))
    ]
    estimate = sum(share * gradient for share, gradient in zip(likelihoods, gradients, strict=True))
    # With a discount each choice climbs to its own return: the first to r_1 + discount r_2, the second to r_2.
    first, second = text_log_probs[:, 0].exp(), text_log_probs[:, 1].exp()
    expected = (first * second.detach() * returns[:, 0] + first.detach() * second * returns[:, 1]).sum()
    (slope,) = torch.autograd.grad(-expected, weights, retain_graph=True)
    torch.testing.assert_close(estimate, slope, rtol=1e-10, atol=1e-12)
    if discount == 1.0:
        (slope,) = torch.autograd.grad(-(text_log_probs.sum(1).exp() * rewards.sum(1)).sum(), weights)
        torch.testing.assert_close(estimate, slope, rtol=1e-10, atol=1e-12)
