"""Fréchet distance: against scipy's matrix square root and against closed forms."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images import frechet
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments


def exact_moments(mean: list[float], covariance: NDArray[np.float64], count: int = 1000) -> Moments:
    return Moments(count, np.array(mean), covariance * (count - 1))


@pytest.mark.parametrize(("dimensions", "count"), [(1, 50), (4, 100), (24, 300)])
def test_equals_the_definition_with_a_matrix_square_root(dimensions: int, count: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(dimensions)
    x = rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal(size=dimensions)
    y = rng.normal(size=(count + 17, dimensions)) @ rng.normal(size=(dimensions, dimensions))
    cov_x, cov_y = np.cov(x, rowvar=False).reshape(2 * [dimensions]), np.cov(y, rowvar=False).reshape(2 * [dimensions])
    difference = x.mean(axis=0) - y.mean(axis=0)
    expected = difference @ difference + np.trace(cov_x + cov_y - 2 * np.real(linalg.sqrtm(cov_x @ cov_y)))
    assert frechet_distance(Moments.from_features(x), Moments.from_features(y)) == pytest.approx(expected, rel=1e-8)


def test_gaussians_with_diagonal_covariances() -> None:
    # sum (m - n)^2 + sum (s - t)^2 for standard deviations s and t
    a = exact_moments([1.0, -2.0, 0.0], np.diag([4.0, 9.0, 0.25]))
    b = exact_moments([0.0, 0.0, 0.5], np.diag([1.0, 16.0, 0.0]))
    assert frechet_distance(a, b) == pytest.approx((1 + 4 + 0.25) + (1 + 1 + 0.25), rel=1e-12)


def test_shift_alone_costs_its_square() -> None:
    features = np.random.default_rng(3).normal(size=(400, 5))
    shifted = Moments.from_features(features + 3.0)
    assert frechet_distance(Moments.from_features(features), shifted) == pytest.approx(5 * 9.0, rel=1e-10)


def test_symmetric_and_invariant_under_rotation() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(60, 6)), 2 * rng.normal(size=(80, 6)) + 1
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    value = frechet_distance(Moments.from_features(x), Moments.from_features(y))
    assert frechet_distance(Moments.from_features(y), Moments.from_features(x)) == pytest.approx(value, rel=1e-12)
    rotated = frechet_distance(Moments.from_features(x @ rotation), Moments.from_features(y @ rotation))
    assert rotated == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("count", [5, 40])
def test_fewer_samples_than_features_and_a_wide_spectrum_add_no_noise(count: int) -> None:
    # The trace is about 4e4: a plain matrix square root is off by 1e-2 here. The shift keeps the value away from 0.
    rng = np.random.default_rng(5)
    features = rng.normal(size=(count, 128)) * np.exp(2 * rng.normal(size=128))
    a, b = Moments.from_features(features), Moments.from_features(features + 0.5)
    assert frechet_distance(a, b) == pytest.approx(128 * 0.25, abs=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def test_orthogonal_supports_have_no_cross_term() -> None:
    rng = np.random.default_rng(7)
    basis = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    a = Moments.from_features(rng.normal(size=(40, 30)) @ basis[:30])
    b = Moments.from_features(rng.normal(size=(40, 30)) @ basis[30:60])
    difference = a.mean - b.mean
    expected = difference @ difference + np.trace(a.covariance() + b.covariance())
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-5)


def test_rank_deficient_set_against_a_full_one() -> None:
    # x lies in a plane: only y's covariance within that plane has a cross term.
    rng = np.random.default_rng(6)
    x = np.concatenate((100 * rng.normal(size=(20, 2)), np.zeros((20, 62))), axis=1)
    y = 100 * rng.normal(size=(500, 64))
    rotation = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    a, b = Moments.from_features(x), Moments.from_features(y)
    cov_a, cov_b = a.covariance()[:2, :2], b.covariance()[:2, :2]
    cross = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real).sum()
    difference = a.mean - b.mean
    expected = difference @ difference + np.trace(a.covariance()) + np.trace(b.covariance()) - 2 * cross
    a, b = Moments.from_features(x @ rotation), Moments.from_features(y @ rotation)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-12)


def test_constant_features_leave_the_means() -> None:
    a, b = Moments.from_features(np.zeros((9, 4))), Moments.from_features(np.ones((9, 4)))
    assert frechet_distance(a, b) == 4.0
    assert frechet_distance(a, a) == 0.0


def rotated(spreads: NDArray[np.float64], count: int = 1000) -> Moments:
    """Gaussians of one set of axes, none of which is a coordinate: the distance is a sum over the spreads."""
    axes = np.linalg.qr(np.random.default_rng(8).normal(size=2 * [len(spreads)]))[0]
    return exact_moments([0.0] * len(spreads), (axes * spreads**2) @ axes.T, count)


SPREADS = np.exp(np.random.default_rng(9).normal(size=80))
OTHERS = np.exp(np.random.default_rng(10).normal(size=80))


def without(spreads: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
    return np.where((np.arange(80) >= start) & (np.arange(80) < stop), 0.0, spreads)


@pytest.mark.parametrize(
    ("s", "t"),
    [
        (SPREADS, without(OTHERS, 0, 30)),
        (without(SPREADS, 0, 1), OTHERS),
        (without(SPREADS, 0, 30), without(OTHERS, 0, 30)),
        (without(SPREADS, 0, 30), without(OTHERS, 20, 60)),
        (without(SPREADS, 1, 80), OTHERS),
        (without(SPREADS, 0, 40), without(OTHERS, 40, 80)),
    ],
)
@pytest.mark.parametrize("counts", [(100, 200), (200, 100), (100, 100)])
def test_singular_covariances_of_either_side_add_no_noise(
    s: NDArray[np.float64], t: NDArray[np.float64], counts: tuple[int, int]
) -> None:
    a, b = (rotated(spreads, count) for spreads, count in zip((s, t), counts, strict=True))
    assert frechet_distance(a, b) == pytest.approx(float(((s - t) ** 2).sum()), abs=2e-6)


def test_one_singular_covariance_is_as_exact_as_none() -> None:
    """Whichever side it is on: its null space is left out before anything is multiplied by the other."""
    s, t = SPREADS, without(OTHERS, 0, 30)
    for a, b in ((rotated(s, 100), rotated(t, 200)), (rotated(s, 200), rotated(t, 100))):
        assert frechet_distance(a, b) == pytest.approx(float(((s - t) ** 2).sum()), rel=1e-12)


@pytest.mark.parametrize(("weakest", "error_of_eigenvectors"), [(1.0, 1e-12), (1e-2, 1e-10), (1e-4, 1e-7)])
def test_regular_covariances_take_the_short_way_to_the_same_number(
    weakest: float, error_of_eigenvectors: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Condition numbers of 1e4, 4e6 and 7e9, at the last of which it is the eigenvectors that are off."""
    a, b = (rotated(spreads * np.geomspace(weakest, 1, 80)) for spreads in (SPREADS, OTHERS))
    c = Moments.from_features(np.random.default_rng(11).normal(size=(300, 80)) @ np.diag(OTHERS))
    expected = [frechet_distance(*pair) for pair in ((a, b), (a, c), (c, b))]
    of_spreads = float((((SPREADS - OTHERS) * np.geomspace(weakest, 1, 80)) ** 2).sum())
    assert expected[0] == pytest.approx(of_spreads, rel=1e-12)
    with monkeypatch.context() as patch:
        patch.setattr(frechet, "_regular_factor", lambda matrix: None)
        by_eigenvectors = [frechet_distance(*pair) for pair in ((a, b), (a, c), (c, b))]
    assert by_eigenvectors == pytest.approx(expected, rel=error_of_eigenvectors)
    monkeypatch.setattr(frechet, "_root_of_range", None)
    assert [frechet_distance(*pair) for pair in ((a, b), (a, c), (c, b))] == expected


@pytest.mark.parametrize("tiny", [0.0, 1e-9, 1e-7])
def test_what_may_be_a_null_space_is_no_regular_covariance(tiny: float) -> None:
    """Rounding can leave Cholesky's pivots positive, so that its success says little."""
    spreads = np.where(np.arange(80) < 3, tiny, 1.0)
    assert frechet._regular_factor(torch.tensor(rotated(spreads).covariance())) is None
    few = np.random.default_rng(12).normal(size=(80, 80))  # of 79 dimensions, its mean being taken away
    assert frechet._regular_factor(torch.tensor(Moments.from_features(few).covariance())) is None


@pytest.mark.parametrize("count", [2, 30, 500])
def test_a_set_is_at_no_distance_from_itself(count: int) -> None:
    features = np.maximum(np.random.default_rng(13).normal(size=(count, 64)) * SPREADS[:64], 0)
    features[:, 5] = 0
    moments_a = Moments.from_features(features)
    assert (
        frechet_distance(moments_a, moments_a)
        == frechet_distance(moments_a, Moments.from_features(features.copy()))
        == 0.0
    )
    turned = frechet_distance(moments_a, Moments.from_features(features[::-1]))  # other sums, the same set
    assert 0.0 <= turned < 1e-6


def test_same_bits_in_both_directions_on_every_run_and_wherever_memory_lies() -> None:
    features = np.random.default_rng(14).normal(size=(600, 100))
    features[:300] *= SPREADS.repeat(2)[:100]
    a, b = Moments.from_features(features[:300]), Moments.from_features(features[300:])
    values = set()
    for offset in range(8):
        aligned = np.zeros(100 * 100 + 8)[offset : offset + 100 * 100].reshape(100, 100)
        aligned[:] = b.scatter
        moved = Moments(b.count, b.mean, aligned)
        values |= {frechet_distance(a, moved), frechet_distance(moved, a)}
    assert len(values) == 1


@pytest.mark.parametrize("share", [0.0, 1e-12, 1e-9, 1e-6])
def test_never_negative_however_near(share: float) -> None:
    for count in (20, 400):
        features = np.random.default_rng(15).normal(size=(count, 50))
        value = frechet_distance(Moments.from_features(features), Moments.from_features(features * (1 + share)))
        assert 0.0 <= value < 1e-5 and np.copysign(1, value) == 1


@pytest.mark.parametrize("largest", [1e160, 1e308])
def test_features_beyond_float64_are_refused(largest: float) -> None:
    features = np.eye(3)
    with np.errstate(all="ignore"):
        far = Moments.from_features(features * largest)
        with pytest.raises(BadInput, match="first set hold NaN or infinity, its features are too large"):
            frechet_distance(far, Moments.from_features(features))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples_are_refused(count: int) -> None:
    enough, few = Moments.from_features(np.eye(3)), Moments.from_features(np.eye(3)[:count])
    with pytest.raises(BadInput, match=f"second set has {count} samples"):
        frechet_distance(enough, few)
    with pytest.raises(BadInput, match=f"first set has {count} samples"):
        frechet_distance(few, enough)


def test_different_numbers_of_features_are_refused() -> None:
    with pytest.raises(BadInput, match="3 features against 4"):
        frechet_distance(Moments.from_features(np.eye(3)), Moments.from_features(np.eye(4)))
