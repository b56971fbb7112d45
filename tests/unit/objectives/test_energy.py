"""The energy score: numbers by hand, smallest for the real distribution alone, equal samples repel each other."""

import pytest
import torch

from ganrnn.objectives.energy import energy_score


def flat(*levels: float) -> torch.Tensor:
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, 8, 8)


def expected_score(samples: torch.Tensor, real: torch.Tensor) -> float:
    """The score of all pairs of samples [N] with all real levels [M]."""
    first, second, truth = (
        flat(*values.flatten().tolist()) for values in torch.meshgrid(samples, samples, real, indexing="ij")
    )
    return energy_score(torch.cat([first, second]), truth).item()


def test_numbers_by_hand() -> None:
    """Flat pictures have one distance in whole pictures and in patches: twice (0.3 + 0.5) / 2 - 0.2 / 2."""
    score = energy_score(torch.cat([flat(0.3), flat(0.5)]), flat(0.0))
    assert score.item() == pytest.approx(2 * (0.8 - 0.2) / 2, rel=1e-4)
    assert energy_score(torch.cat([flat(0.3), flat(0.5)]), flat(0.0), repulsion=0.5).item() == pytest.approx(
        0.7, rel=1e-4
    )


def test_patches_and_whole_pictures_by_hand() -> None:
    """A quarter of the picture is off by 1: root mean square 0.5 of the whole, 1, 0, 0, 0 of the patches."""
    first = flat(0.0).clone()
    first[..., :4, :4] = 1
    assert energy_score(torch.cat([first, first]), flat(0.0)).item() == pytest.approx(0.5 + 0.25, rel=2e-3)


def test_the_real_distribution_scores_best() -> None:
    """Neither the middle of two answers, nor one of them, nor wider ones, nor the right distance at a wrong place."""
    real = torch.tensor([-0.5, 0.5])
    best = expected_score(real, real)
    for other in ([0.0, 0.0], [0.5, 0.5], [-0.8, 0.8], [-0.3, 0.3], [-0.4, 0.6]):
        assert expected_score(torch.tensor(other), real) > best + 0.01, other


def test_without_repulsion_the_middle_scores_no_worse() -> None:
    real, middle = torch.tensor([-0.5, 0.5]), torch.tensor([0.0, 0.0])
    first, second, truth = (flat(*v.flatten().tolist()) for v in torch.meshgrid(real, real, real, indexing="ij"))
    spread_out = energy_score(torch.cat([first, second]), truth, repulsion=0).item()
    first, second, truth = (flat(*v.flatten().tolist()) for v in torch.meshgrid(middle, middle, real, indexing="ij"))
    assert energy_score(torch.cat([first, second]), truth, repulsion=0).item() == pytest.approx(spread_out, abs=2e-3)


def test_samples_that_are_nearly_equal_repel_each_other_as_strongly_as_distant_ones() -> None:
    def push(difference: float) -> float:
        first, second = flat(0.0).clone().requires_grad_(), flat(difference)
        energy_score(torch.cat([first, second]), flat(-1.0)).backward()
        assert first.grad is not None
        return float(first.grad.sum())

    alone = push(0.0)  # drawn to the real picture, by no other
    assert push(0.02) - alone == pytest.approx(push(0.5) - alone, rel=0.01) and push(0.5) - alone > 0.1
