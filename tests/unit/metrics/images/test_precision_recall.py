"""Precision, recall, density, coverage: by hand, against all balls written out, and what must not change them."""

from dataclasses import astuple
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.precision_recall import ManifoldScores, manifold_scores, share_of_good
from ganrnn.metrics.statistics import neighbours

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(90, 3))
SAMPLES = 0.9 * RNG.normal(size=(60, 3)) + 1


def by_definition(x: NDArray[np.float64], y: NDArray[np.float64], k: int, density_k: int) -> ManifoldScores:
    between = np.linalg.norm(x[:, None] - y[None], axis=2)

    def radii(z: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        return np.sort(np.linalg.norm(z[:, None] - z[None], axis=2), axis=1)[:, k]  # column 0 is the row itself

    def in_balls(distances: NDArray[np.float64], itself: int) -> float:
        bound = np.minimum(radii(y, density_k), np.sort(radii(y, density_k))[(len(y) - 1) // 2])
        return float(np.minimum(((distances <= bound[None]).sum(axis=1) - itself) / density_k, 1).mean())

    open_balls = between < radii(y, density_k)[None]
    filled = np.minimum(open_balls.sum(axis=0) / density_k, 1).mean()
    return ManifoldScores(
        (between <= radii(y, k)[None]).any(axis=1).mean(),
        (between <= radii(x, k)[:, None]).any(axis=0).mean(),
        open_balls.sum(axis=1).mean() / density_k,
        open_balls.any(axis=0).mean(),
        min(in_balls(between, 0) / in_balls(np.linalg.norm(y[:, None] - y[None], axis=2), 1), 1),
        share_of_good(filled, len(x), len(y), density_k),
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
    # Clipped, the ball of 3 reaches 1 as well: 1.5 lies in that of 1, 2 on those of 1 and 3, -1 on that of 0. 0 lies on
    # that of 1, 1 on that of 0, 3 on none. Of 3 balls 2 are full; of one good sample a ball is full in 1 of 3 cases, of
    # three in 3 of 5, of four in 4 of 6.
    expected = ManifoldScores(4 / 5, 2 / 3, 3 / 5, 2 / 3, 1.0, 4 / 5)
    assert astuple(manifold_scores(samples, reference, 1, 1)) == pytest.approx(astuple(expected), abs=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_a_copy_of_the_reference_scores_one(scale: float) -> None:
    """All surfaces pass through samples here, and rounding must not move one across."""
    reference = scale * (RNG.normal(size=(300, 24)) + 5)
    assert manifold_scores(RNG.permutation(reference), reference) == ManifoldScores(*[1.0] * 6)


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


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_clipped_scores_fall_as_the_share_of_good_samples_does(share: float) -> None:
    """Bad samples lie far away; a few real pictures do too, which makes density and coverage no better."""
    rng = np.random.default_rng(2)
    reference, samples = rng.normal(size=(1000, 8)), rng.normal(size=(1000, 8))
    samples[round(1000 * share) :] += 40
    reference[:20] = 40 + 30 * rng.normal(size=(20, 8))
    scores = manifold_scores(samples, reference)
    assert scores.clipped_density == pytest.approx(share, abs=0.04)
    assert scores.clipped_coverage == pytest.approx(share, abs=0.06)
    assert share > 0.5 or scores.density > share + 1.5


@pytest.mark.parametrize(("num_samples", "num_reference", "k"), [(4, 5, 2), (6, 4, 3), (1, 3, 1), (5, 6, 5)])
def test_good_samples_among_neighbours_in_every_order(num_samples: int, num_reference: int, k: int) -> None:
    """Balls of as many good samples as there are, over all orders of samples and other pictures by distance."""
    fills = []
    for num_good in range(num_samples + 1):
        places = range(num_good + num_reference - 1)
        orders = [sorted({*places} - {*good}) for good in combinations(places, num_good)]  # of the other pictures
        fills.append(sum(min(others[k - 1] - (k - 1), k) for others in orders) / len(orders) / k)
    for num_good, filled in enumerate(fills):
        assert share_of_good(filled, num_samples, num_reference, k) == pytest.approx(num_good / num_samples, abs=1e-9)
    halfway = (fills[0] + fills[1]) / 2
    assert share_of_good(halfway, num_samples, num_reference, k) == pytest.approx(0.5 / num_samples)
    assert share_of_good(1.0, num_samples, num_reference, k) == 1


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
