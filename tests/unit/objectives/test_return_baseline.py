"""What is expected from each place on: a mean that forgets, of the places that texts reach."""

import pytest
import torch

from ganrnn import distributed
from ganrnn.objectives.return_baseline import ReturnBaseline


def test_it_is_a_mean_over_texts_first_and_over_batches_then() -> None:
    baseline = ReturnBaseline(3)
    returns = torch.tensor([[1.0, 4.0], [3.0, 9.0]])
    assert torch.equal(baseline(returns), returns)
    baseline.update(returns, torch.tensor([[True, True], [True, False]]))
    assert baseline.mean.tolist() == [2.0, 4.0, 0.0] and baseline.num_batches.tolist() == [1.0, 1.0, 0.0]
    assert torch.equal(baseline(returns), torch.tensor([[-1.0, 0.0], [1.0, 5.0]]))
    baseline.update(torch.tensor([[8.0]]), torch.tensor([[True]]))
    assert baseline.mean.tolist() == [5.0, 4.0, 0.0] and baseline.num_batches.tolist() == [2.0, 1.0, 0.0]


def test_after_twenty_batches_it_forgets() -> None:
    baseline, mask = ReturnBaseline(1), torch.tensor([[True]])
    for _ in range(20):
        baseline.update(torch.tensor([[0.0]]), mask)
    for number in range(1, 4):
        baseline.update(torch.tensor([[1.0]]), mask)
        assert baseline.mean.item() == pytest.approx(1 - 0.95**number)


def test_workers_expect_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    other = torch.tensor([[6.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # sums and numbers of the other worker
    monkeypatch.setattr(distributed, "sum_over_workers", lambda own: own + other)
    baseline = ReturnBaseline(3)
    baseline.update(torch.tensor([[1.0, 5.0], [2.0, 7.0]]), torch.ones(2, 2, dtype=torch.bool))
    assert baseline.mean.tolist() == [3.0, 6.0, 0.0]
