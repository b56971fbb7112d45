"""Fréchet distance without the bias of few samples: against closed forms of Gaussians, and how true the interval is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.images.frechet_limit import _influences, frechet_limit
from ganrnn.metrics.statistics.moments import Moments

DIMENSIONS = 6
SPREADS = np.array([0.5, 0.8, 1.0, 1.2, 1.5, 2.0])
SHIFT = np.array([0.3, -0.2, 0.1, 0.0, 0.4, -0.1])
# Unit variances around 0, so that the limit is a sum over dimensions.
REFERENCE = Moments(1_000_000, np.zeros(DIMENSIONS), np.eye(DIMENSIONS) * 999_999)
LIMIT = float((SHIFT**2 + (SPREADS - 1) ** 2).sum())


def samples(seed: int, count: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS)) * SPREADS + SHIFT


def test_bias_of_few_samples_is_gone() -> None:
    """Of the same distribution, where the distance is nothing but bias and a little noise."""
    drawn = [np.random.default_rng(seed).normal(size=(300, DIMENSIONS)) for seed in range(30)]
    values = [frechet_limit(x, REFERENCE, 0).value for x in drawn]
    finite = [frechet_distance(Moments.from_features(x), REFERENCE) for x in drawn]
    assert np.mean(finite) > 0.04 and abs(np.mean(values)) < 0.005


def test_interval_holds_the_limit_as_often_as_it_says_and_is_no_wider() -> None:
    limits = [frechet_limit(samples(seed, 300), REFERENCE, seed) for seed in range(40)]
    inside = sum(limit.low < LIMIT < limit.high for limit in limits)
    assert inside >= 35  # of 38 expected
    values, widths = (np.array(column) for column in zip(*((f.value, f.high - f.low) for f in limits), strict=True))
    assert abs(values.mean() - LIMIT) < 3 * values.std() / 40**0.5
    assert widths.mean() == pytest.approx(2 * 1.96 * values.std(), rel=0.3)


@pytest.mark.parametrize(("dimensions", "rows_per_feature"), [(6, 16), (24, 8)])
@pytest.mark.parametrize("is_same", [True, False])
def test_limit_of_known_gaussians_is_off_by_less_than_a_tenth_of_the_bias_and_its_interval_says_so(
    dimensions: int, rows_per_feature: int, is_same: bool
) -> None:
    rng = np.random.default_rng(7)
    row_moments, factor, shift = np.exp(0.7 * rng.normal(size=(3, dimensions)))
    factor, shift = (np.ones(dimensions), np.zeros(dimensions)) if is_same else (factor**0.2, 0.2 * shift)
    reference = Moments(1_000_000, np.zeros(dimensions), np.diag(row_moments**2) * 999_999)
    limit = float((row_moments**2 * (shift**2 + (factor - 1) ** 2)).sum())
    shape = rows_per_feature * dimensions, dimensions
    num_sets = 40
    limits = [
        frechet_limit((np.random.default_rng(seed).normal(size=shape) * factor + shift) * row_moments, reference, seed)
        for seed in range(num_sets)
    ]
    values, finite = np.array([f.value for f in limits]), np.array([f.distances[0] for f in limits])
    bias, of_few = values.mean() - limit, finite.mean() - limit
    noise = values.std() / num_sets**0.5
    assert of_few > 3 * finite.std() / num_sets**0.5 and -0.1 * of_few - 3 * noise < bias < 3 * noise
    assert sum(f.low < limit < f.high for f in limits) >= 0.85 * num_sets


def test_interval_allows_for_what_the_line_leaves_of_the_bias() -> None:
    """Of many features and one distribution, the bias left is larger than the noise: 1 of 12 would be held without."""
    reference = Moments(1_000_000, np.zeros(96), np.eye(96) * 999_999)
    drawn = [np.random.default_rng(seed).normal(size=(8 * 96, 96)) for seed in range(12)]
    limits = [frechet_limit(x, reference, 0) for x in drawn]
    assert sum(f.low < 0 < f.high for f in limits) >= 11
    assert sum(f.high - 0.1 * f.slope / len(drawn[0]) > 0 for f in limits) < 11


def test_samples_that_are_the_reference_have_a_limit_below_nothing() -> None:
    """Their distance is 0 where that of others has a bias, which is taken away all the same."""
    x = samples(0, 300)
    limit = frechet_limit(x, Moments.from_features(x), 0)
    assert limit.distances[0] < 1e-9 < limit.distances[1] < limit.distances[4]
    assert limit.value < 0 < limit.slope


def test_parts_hold_all_samples_and_shrink_evenly_in_one_over_n() -> None:
    limit = frechet_limit(samples(0, 300), REFERENCE, 0)
    assert limit.counts == (300, 150, 100, 75, 60) and len(limit.distances) == 5
    assert limit.distances[0] == pytest.approx(frechet_distance(Moments.from_features(samples(0, 300)), REFERENCE))
    halves = samples(0, 300)[np.random.Generator(np.random.Philox(0)).permutation(300)].reshape(2, 150, DIMENSIONS)
    of_halves = [frechet_distance(Moments.from_features(half), REFERENCE) for half in halves]
    assert limit.distances[1] == pytest.approx(np.mean(of_halves))
    line = limit.value + limit.slope / np.array(limit.counts)
    residuals = np.array(limit.distances) - line
    assert residuals.sum() == pytest.approx(0, abs=1e-9) and residuals @ line == pytest.approx(0, abs=1e-9)
    assert limit.slope > 0
    # Two rows a feature in the smallest part.
    assert frechet_limit(samples(0, 40), REFERENCE, 0).counts == (40, 20, 13)
    assert frechet_limit(samples(0, 24), REFERENCE, 0).counts == (24, 12)


def test_influence_is_the_slope_of_the_distance() -> None:
    """Moments in which one sample weighs a little more."""
    rng = np.random.default_rng(1)
    x, weight = samples(2, 40) @ rng.normal(size=(DIMENSIONS, DIMENSIONS)), 1e-6
    reference = Moments.from_features(rng.normal(size=(50, DIMENSIONS)) + 1)
    row_moments, influences = Moments.from_features(x), _influences(x, reference)
    slopes = []
    for y in x - row_moments.mean:
        covariance = (1 - weight) * row_moments.covariance() + weight * np.outer(y, y)
        heavier = Moments(row_moments.count, row_moments.mean + weight * y, covariance * (row_moments.count - 1))
        slopes.append((frechet_distance(heavier, reference) - frechet_distance(row_moments, reference)) / weight)
    np.testing.assert_allclose(influences, np.array(slopes) - np.mean(slopes), rtol=1e-4, atol=1e-3)
    assert influences.std() > 1


def test_interval_shrinks_with_the_root_of_the_count_and_grows_with_the_confidence() -> None:
    few, many = (frechet_limit(samples(3, count), REFERENCE, 0) for count in (500, 8000))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.2)
    assert many.value - many.low == pytest.approx(many.high - many.value, rel=0.2)
    wider = frechet_limit(samples(3, 500), REFERENCE, 0, confidence=0.99)
    assert wider.value == few.value and wider.low < few.low < few.value < few.high < wider.high


def test_seed_decides_the_partition_and_the_bootstrap() -> None:
    assert frechet_limit(samples(0, 100), REFERENCE, 5) == frechet_limit(samples(0, 100), REFERENCE, 5)
    assert frechet_limit(samples(0, 100), REFERENCE, 5) != frechet_limit(samples(0, 100), REFERENCE, 6)


@pytest.mark.parametrize(
    ("x", "confidence", "message"),
    [
        (samples(0, 1), 0.95, "1 rows of features, at least 24"),
        (samples(0, 23), 0.95, "23 rows of features, at least 24"),
        (np.ones((30, DIMENSIONS)), 0.95, "all 30 rows of features are equal"),
        (samples(0, 30) * np.nan, 0.95, "row 0 of 30 holds NaN"),
        (samples(0, 30)[:, :2], 0.95, "2 features against 6"),
        (samples(0, 30), 1.0, "confidence is 1.0, allowed is between 0 and 1"),
    ],
)
def test_what_has_no_limit_is_refused(x: NDArray[np.float64], confidence: float, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        frechet_limit(x, REFERENCE, 0, confidence)
