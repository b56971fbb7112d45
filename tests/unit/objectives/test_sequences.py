"""Losses of texts are sums over their targets, token by token, and padding is not one."""

import math

import pytest
import torch

from ganrnn.objectives import sequences
from ganrnn.objectives.sequences import coverage_loss, cross_entropies, linear_cross_entropies
from ganrnn.text.vocabulary import PAD

N, T, V, S = 3, 5, 7, 4
TARGETS = torch.tensor([[4, 6, 1, 2, 3], [5, 3, PAD, PAD, PAD], [6, 6, 4, 3, PAD]])


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> float:
    """With `smoothing`, a target is (1 - smoothing) of itself and smoothing / V of every token."""
    total = 0.0
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        for values, target in zip(row, wanted, strict=True):
            if target != PAD:
                sum_of_all = sum(math.exp(value) for value in values)
                logs = [value - math.log(sum_of_all) for value in values]
                total -= (1 - smoothing) * logs[target] + smoothing * sum(logs) / len(logs)
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_losses_are_sums_over_the_targets(smoothing: float) -> None:
    logits = 2.0 * normal(N, T, V)
    loss, smoothed = cross_entropies(logits, TARGETS, smoothing)
    assert loss.item() == pytest.approx(by_loops(logits, TARGETS, 0.0), rel=1e-12)
    assert smoothed.item() == pytest.approx(by_loops(logits, TARGETS, smoothing), rel=1e-12)
    assert (loss.item() == smoothed.item()) == (smoothing == 0.0)


def test_a_loss_is_that_of_torch_by_hand() -> None:
    logits = normal(N, T, V)
    log_probs = logits.log_softmax(2).gather(2, TARGETS[:, :, None])[:, :, 0]
    assert cross_entropies(logits, TARGETS)[0].item() == pytest.approx(
        -log_probs[TARGETS != PAD].sum().item(), rel=1e-12
    )
    # Without knowledge each of the 11 targets costs log V, whatever the labels are smoothed by.
    for loss in cross_entropies(torch.zeros(N, T, V), TARGETS, 0.3):
        assert loss.item() == pytest.approx(11 * math.log(V), rel=1e-6)


def test_a_smoothed_loss_is_least_where_the_smoothed_labels_are() -> None:
    smoothing, target = 0.2, torch.tensor([[5]])
    labels = torch.full((1, 1, V), smoothing / V, dtype=torch.float64)
    labels[0, 0, 5] += 1 - smoothing
    logits = labels.log().requires_grad_()
    cross_entropies(logits, target, smoothing)[1].backward()
    assert logits.grad is not None and logits.grad.abs().max() < 1e-12


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_costs_nothing_and_teaches_nothing(smoothing: float) -> None:
    logits = normal(N, T, V).requires_grad_()
    losses = cross_entropies(logits, TARGETS, smoothing)
    losses[1].backward()
    assert logits.grad is not None
    assert logits.grad[TARGETS == PAD].abs().max() == 0 and logits.grad[TARGETS != PAD].abs().amin() > 0
    longer = torch.cat([logits.detach(), 50.0 * normal(N, 3, V, seed=1)], 1)
    more = cross_entropies(longer, torch.cat([TARGETS, torch.full((N, 3), PAD)], 1), smoothing)
    for log_probs, same in zip(losses, more, strict=True):
        assert log_probs.item() == pytest.approx(same.item(), rel=1e-12)
    nothing = cross_entropies(logits.detach(), torch.full((N, T), PAD), smoothing)
    assert [loss.item() for loss in nothing] == [0.0, 0.0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("most", [1, 4 * V, 10 * V, 11 * V])
def test_pieces_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch, most: int, smoothing: float) -> None:
    inputs = [tensor.requires_grad_() for tensor in (normal(N, T, S), normal(V, S, seed=1), normal(V, seed=2))]
    whole = cross_entropies(torch.nn.functional.linear(*inputs), TARGETS, smoothing)
    monkeypatch.setattr(sequences, "_MAX_LOGITS", most)
    loss, objective = linear_cross_entropies(inputs[0], inputs[1], inputs[2], TARGETS, smoothing)
    assert loss.item() == pytest.approx(whole[0].item(), rel=1e-12) and not loss.requires_grad
    assert objective.item() == pytest.approx(whole[1].item(), rel=1e-12)
    expected = torch.autograd.grad(3.0 * whole[1], inputs)
    for made, wanted in zip(torch.autograd.grad(3.0 * objective, inputs, retain_graph=True), expected, strict=True):
        torch.testing.assert_close(made, wanted, rtol=1e-10, atol=1e-12)
    with pytest.raises(RuntimeError, match="inplace"):
        objective.backward()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_pieces_need_no_gradients_and_no_targets(monkeypatch: pytest.MonkeyPatch, smoothing: float) -> None:
    monkeypatch.setattr(sequences, "_MAX_LOGITS", V)
    features, weight, bias = normal(N, T, S), normal(V, S, seed=1), normal(V, seed=2)
    whole = cross_entropies(torch.nn.functional.linear(features, weight, bias), TARGETS, smoothing)
    for made, wanted in zip(linear_cross_entropies(features, weight, bias, TARGETS, smoothing), whole, strict=True):
        assert made.item() == pytest.approx(wanted.item(), rel=1e-12) and not made.requires_grad
    weight.requires_grad_()
    nothing = linear_cross_entropies(features, weight, bias, torch.full((N, T), PAD), smoothing)
    nothing[1].backward()
    assert [loss.item() for loss in nothing] == [0.0, 0.0]
    assert weight.grad is not None and weight.grad.abs().max() == 0


def test_rows_add_up() -> None:
    logits, shares = normal(N, T, V), normal(N, T, S, seed=1).softmax(2)
    alone = [cross_entropies(logits[i, None], TARGETS[i, None], 0.1) for i in range(N)]
    for whole, parts in zip(cross_entropies(logits, TARGETS, 0.1), zip(*alone, strict=True), strict=True):
        assert whole.item() == pytest.approx(sum(part.item() for part in parts), rel=1e-12)
    twice = sum(coverage_loss(shares[i, None], TARGETS[i, None]).item() for i in range(N))
    assert coverage_loss(shares, TARGETS).item() == pytest.approx(twice, rel=1e-12)


def test_what_is_read_twice_is_the_sum_over_steps_and_places() -> None:
    # See et al. (2017): at each step the sum over i of min(a_i, c_i), c being the sum of all a before.
    shares = (2.0 * normal(N, T, S)).softmax(2)
    expected = 0.0
    for row in range(N):
        covered = [0.0] * S
        for step in range(T):
            for place, share in enumerate(shares[row, step].tolist()):
                expected += min(share, covered[place]) if TARGETS[row, step] != PAD else 0.0
                covered[place] += share
    assert coverage_loss(shares, TARGETS).item() == pytest.approx(expected, rel=1e-12)


def test_attention_that_never_returns_reads_nothing_twice() -> None:
    targets = torch.full((2, S), 5)
    once = torch.stack([torch.eye(S), torch.eye(S).flip(0)])
    assert coverage_loss(once, targets).item() == 0.0
    # Two places at a time, each of them once.
    halves = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75]]])
    assert coverage_loss(halves, targets[:1, :2]).item() == 0.0


def test_attention_that_stays_reads_all_but_the_first_step_twice() -> None:
    stays = torch.zeros(1, T, S)
    stays[:, :, 2] = 1.0
    targets = torch.full((1, T), 5)
    assert coverage_loss(stays, targets).item() == T - 1
    targets[0, 3:] = PAD
    assert coverage_loss(stays, targets).item() == 2
    # Coming back to half of what was read counts half.
    back = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]])
    assert coverage_loss(back, torch.full((1, 3), 5)).item() == 1.0


def test_descending_turns_attention_away_from_where_it_was() -> None:
    logits, targets = normal(N, T, S).requires_grad_(), torch.full((N, T), 5)
    before = coverage_loss(logits.softmax(2), targets)
    assert torch.autograd.gradcheck(lambda inputs: coverage_loss(inputs.softmax(2), targets), logits)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(coverage_loss(logits.softmax(2), targets), logits)
        logits = (logits - gradient).detach().requires_grad_()
    # Five steps over four places: at least one of the shares must be of something read before.
    assert N <= coverage_loss(logits.softmax(2), targets).item() < 0.6 * before.item()
