"""Fréchet distance: against scipy's matrix square root and against closed forms."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.frechet import frechet_distance
from ganrnn.metrics.moments import Moments


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
