"""Precision, recall, density, coverage: by hand, against all balls written out, and what must not change them."""

from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.precision_recall import ManifoldScores, manifold_scores
from ganrnn.metrics.statistics import neighbours

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(90, 3))
SAMPLES = 0.9 * RNG.normal(size=(60, 3)) + 1


def by_definition(x: NDArray[np.float64], y: NDArray[np.float64], k: int, density_k: int) -> ManifoldScores:
    between = np.linalg.norm(x[:, None] - y[None], axis=2)

    def radii(z: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        return np.sort(np.linalg.norm(z[:, None] - z[None], axis=2), axis=1)[:, k]  # column 0 is the row itself

    open_balls = between < radii(y, density_k)[None]
    return ManifoldScores(
        (between <= radii(y, k)[None]).any(axis=1).mean(),
        (between <= radii(x, k)[:, None]).any(axis=0).mean(),
        open_balls.sum(axis=1).mean() / density_k,
        open_balls.any(axis=0).mean(),
    )


@pytest.mark.parametrize("block_pairs", [1, 1000, 1 << 22])
@pytest.mark.parametrize(("k", "density_k"), [(3, 5), (5, 3), (1, 1), (59, 89)])
def test_equals_the_definition(k: int, density_k: int, block_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_PAIRS", block_pairs)
    scores = manifold_scores(SAMPLES, REFERENCE, k, density_k)
    assert astuple(scores) == pytest.approx(astuple(by_definition(SAMPLES, REFERENCE, k, density_k)), abs=1e-12)
    assert k > 5 or all(0.1 < value < 0.95 for value in astuple(scores))


def test_on_a_line_by_hand() -> None:
    # Balls to the nearest neighbour: the reference's reach 1, 1, 2, the samples' 0.5, 0.5, 0, 0, 7.
    reference, samples = np.array([[0.0], [1.0], [3.0]]), np.array([[1.5], [2.0], [-1.0], [-1.0], [9.0]])
    # 1.5 lies in the balls of 1 and 3, 2 in that of 3 and on that of 1, -1 on that of 0, 9 in none.
    # Of the reference 1 lies on that of 1.5, 3 in that of 9, 0 in none.
    assert manifold_scores(samples, reference, 1, 1) == ManifoldScores(4 / 5, 2 / 3, 3 / 5, 2 / 3)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_a_copy_of_the_reference_scores_one(scale: float) -> None:
    """All surfaces pass through samples here, and rounding must not move one across."""
    reference = scale * (RNG.normal(size=(300, 24)) + 5)
    assert manifold_scores(RNG.permutation(reference), reference) == ManifoldScores(1.0, 1.0, 1.0, 1.0)


def test_order_and_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = RNG.integers(0, 4, size=(200, 3)) * 0.1  # full of ties
    expected = manifold_scores(grid[:80], grid[80:])
    for block_pairs in (1, 777, 1 << 22):
        monkeypatch.setattr(neighbours, "BLOCK_PAIRS", block_pairs)
        assert manifold_scores(RNG.permutation(grid[:80]), RNG.permutation(grid[80:])) == expected


def test_quality_and_diversity_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(400, 4))
    same, narrow, noisy = (manifold_scores(spread * rng.normal(size=(400, 4)), reference) for spread in (1, 0.2, 3))
    assert same.density == pytest.approx(1, abs=0.1) and same.coverage > 0.9
    assert narrow.precision > 0.98 and narrow.recall < 0.2 and narrow.coverage < 0.5
    assert noisy.precision < 0.5 and noisy.recall > 0.9 and noisy.density < 0.5


def test_one_picture_over_and_over_has_no_recall() -> None:
    scores = manifold_scores(np.repeat(REFERENCE[:1] * 0.5, 30, axis=0), REFERENCE)
    assert scores.precision == 1.0 and scores.recall == 0.0 and scores.coverage < 0.2


@pytest.mark.parametrize(
    ("samples", "reference", "message"),
    [
        (SAMPLES[:1], REFERENCE, "samples: 1 rows"),
        (SAMPLES[:3], REFERENCE, "num_neighbours is 3, allowed are 1 to 2 with 3 rows"),
        (SAMPLES, REFERENCE[:5], "num_neighbours is 5, allowed are 1 to 4 with 5 rows"),
        (SAMPLES, REFERENCE[:, :2], "3 features against 2"),
        (SAMPLES, np.ones((9, 3)), "reference: all 9 rows of features are equal"),
        (np.full((9, 3), np.nan), REFERENCE, "samples: row 0 of 9 holds NaN"),
    ],
)
def test_what_has_no_score_is_refused(
    samples: NDArray[np.float64], reference: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        manifold_scores(samples, reference)
