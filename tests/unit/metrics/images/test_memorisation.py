"""Copies of the training pictures and of each other: by hand, where there are none, and where all are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.memorisation import memorisation, near_duplicates

RNG = np.random.default_rng(0)
TRAINING, HELD_OUT = RNG.normal(size=(500, 4)), RNG.normal(size=(300, 4))


def test_on_a_line_by_hand() -> None:
    training, held_out = np.array([[0.0], [1.0], [4.0]]), np.array([[2.0], [7.0]])
    result = memorisation(np.array([[0.5], [3.5], [-2.0], [9.0]]), training, held_out)
    np.testing.assert_array_equal(result.distances, [0.5, 0.5, 2.0, 5.0])
    np.testing.assert_array_equal(result.positions, [0, 2, 0, 2])
    # The training pictures are 1, 1 and 3 from their nearest; the held-out ones 1 and 3 from theirs, 1 and 4.
    assert result.share_copied == 2 / 4 and result.share_copied_held_out == 0
    # 0.5 twice is less than both, 2 less than one, 5 than none.
    assert result.nearer_than_held_out == (2 + 2 + 1 + 0) / 8


def test_ties_count_half() -> None:
    training = np.array([[0.0], [10.0]])
    assert memorisation(np.array([[1.0]]), training, np.array([[-1.0], [2.0]])).nearer_than_held_out == (0.5 + 1) / 2


def test_new_samples_are_as_far_as_held_out_pictures() -> None:
    result = memorisation(RNG.normal(size=(600, 4)), TRAINING, HELD_OUT)
    assert result.nearer_than_held_out == pytest.approx(0.5, abs=0.06)
    assert result.share_copied == pytest.approx(result.share_copied_held_out, abs=0.1) and result.share_copied > 0.3


def test_copies_are_found_with_their_originals() -> None:
    rows = RNG.integers(500, size=200)
    result = memorisation(TRAINING[rows] + 1e-3 * RNG.normal(size=(200, 4)), TRAINING, HELD_OUT)
    np.testing.assert_array_equal(result.positions, rows)
    assert result.share_copied > 0.98 and result.nearer_than_held_out > 0.98


def test_samples_far_from_everything_are_no_copies() -> None:
    result = memorisation(3 * RNG.normal(size=(200, 4)), TRAINING, HELD_OUT)
    assert result.share_copied < 0.1 and result.nearer_than_held_out < 0.3


def test_order_of_the_sets_does_not_matter() -> None:
    samples = RNG.normal(size=(100, 4))
    order = RNG.permutation(100)
    result, again = (memorisation(samples, TRAINING, HELD_OUT) for _ in range(2))
    again = memorisation(samples[order], RNG.permutation(TRAINING), RNG.permutation(HELD_OUT))
    np.testing.assert_array_equal(again.distances, result.distances[order])
    assert (again.share_copied, again.share_copied_held_out, again.nearer_than_held_out) == (
        result.share_copied,
        result.share_copied_held_out,
        result.nearer_than_held_out,
    )


def test_duplicates_on_a_line_by_hand() -> None:
    # Distances of the first four real pictures to their nearest others: 1, 1, 2, 5; their median is 1.5.
    real, samples = np.array([[0.0], [1.0], [3.0], [8.0], [8.0]]), np.array([[0.0], [1.5], [4.0], [4.5]])
    result = near_duplicates(samples, real, quantile=0.5)
    np.testing.assert_array_equal(result.distances, [1.5, 1.5, 0.5, 0.5])
    np.testing.assert_array_equal(result.positions, [1, 0, 3, 2])
    assert result.threshold == 1.5 and result.share == 1.0
    assert near_duplicates(samples, real, quantile=0.3).share == 0.5


def test_share_is_the_quantile_without_duplicates_and_counts_them_where_they_are() -> None:
    samples, real = RNG.normal(size=(1000, 4)), RNG.normal(size=(3000, 4))
    assert near_duplicates(samples, real, quantile=0.05).share == pytest.approx(0.05, abs=0.03)
    repeated = np.concatenate((samples[:700], samples[:300] + 1e-6))
    assert near_duplicates(repeated, real, quantile=0.05).share == pytest.approx(0.6 + 0.4 * 0.05, abs=0.03)


def test_exact_copies_are_duplicates_at_a_threshold_of_zero() -> None:
    real = np.repeat(np.arange(10.0), 2)[:, None]
    result = near_duplicates(np.concatenate((np.arange(18.0)[:, None], [[0.0], [1.0]])), real)
    assert result.threshold == 0 and result.share == 4 / 20


@pytest.mark.parametrize(
    ("samples", "training", "held_out", "message"),
    [
        (HELD_OUT[:0], TRAINING, HELD_OUT, "samples: 0 rows"),
        (HELD_OUT, TRAINING[:1], HELD_OUT, "training: 1 rows of features, at least 2"),
        (HELD_OUT, TRAINING, HELD_OUT[:0], "held out: 0 rows"),
        (HELD_OUT[:, :2], TRAINING, HELD_OUT, "2 features against 4"),
        (HELD_OUT, TRAINING, HELD_OUT[:, :2], "2 features against 4"),
        (HELD_OUT, np.ones((3, 4)), HELD_OUT, "training: all 3 rows"),
        (HELD_OUT * np.nan, TRAINING, HELD_OUT, "samples: row 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    samples: NDArray[np.float64], training: NDArray[np.float64], held_out: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        memorisation(samples, training, held_out)


@pytest.mark.parametrize(
    ("samples", "real", "quantile", "message"),
    [
        (HELD_OUT[:1], TRAINING, 0.1, "samples: 1 rows"),
        (TRAINING, HELD_OUT, 0.1, "real: 300 rows of features, at least 500"),
        (HELD_OUT[:, :3], TRAINING, 0.1, "3 features against 4"),
        (HELD_OUT, np.zeros((300, 4)), 0.1, "real: all 300 rows"),
        (HELD_OUT, TRAINING, 1.0, "quantile is 1.0, allowed is between 0 and 1"),
        (HELD_OUT, TRAINING, 0.0, "quantile is 0.0"),
    ],
)
def test_duplicates_that_cannot_be_counted_are_refused(
    samples: NDArray[np.float64], real: NDArray[np.float64], quantile: float, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        near_duplicates(samples, real, quantile)
