"""Nearest neighbours: against all distances written out, in any order and for any size of the blocks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics import neighbours
from ganrnn.metrics.statistics.neighbours import checked, nearest, require_same_width, require_variance

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(70, 5))
QUERIES = RNG.normal(size=(40, 5))


def all_squares(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[((x - y) ** 2).sum() for y in b] for x in a])


@pytest.mark.parametrize("block_pairs", [1, 150, 1 << 22])
@pytest.mark.parametrize("num_neighbours", [1, 4, 70])
def test_equals_all_distances_sorted(num_neighbours: int, block_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_PAIRS", block_pairs)
    squares, positions = nearest(QUERIES, POINTS, num_neighbours)
    expected = all_squares(QUERIES, POINTS)
    np.testing.assert_array_equal(positions, expected.argsort(axis=1)[:, :num_neighbours])
    np.testing.assert_array_equal(squares, np.sort(expected, axis=1)[:, :num_neighbours])


@pytest.mark.parametrize("block_pairs", [1, 150, 1 << 22])
def test_no_point_is_its_own_neighbour(block_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_PAIRS", block_pairs)
    squares, positions = nearest(POINTS, POINTS, 69, among_themselves=True)
    assert (positions != np.arange(70)[:, None]).all() and (squares > 0).all()
    np.testing.assert_array_equal(squares, np.sort(all_squares(POINTS, POINTS), axis=1)[:, 1:])


def test_by_hand() -> None:
    line = np.array([[0.0], [1.0], [3.0], [3.0]])
    squares, positions = nearest(line, line, 2, among_themselves=True)
    np.testing.assert_array_equal(squares, [[1, 9], [1, 4], [0, 4], [0, 4]])
    np.testing.assert_array_equal(positions, [[1, 2], [0, 2], [3, 1], [2, 1]])


def test_copies_are_at_distance_zero_far_from_the_origin() -> None:
    # A matrix product is off by some 0.1 here.
    far = 1e7 + RNG.normal(size=(50, 32))
    squares, positions = nearest(far[::-1], far, 2)
    np.testing.assert_array_equal(squares[:, 0], 0)
    np.testing.assert_array_equal(positions[:, 0], np.arange(50)[::-1])
    np.testing.assert_array_equal(squares[:, 1], np.sort(all_squares(far[::-1], far), axis=1)[:, 1])


@pytest.mark.parametrize("num_neighbours", [0, 71])
def test_more_neighbours_than_points_are_refused(num_neighbours: int) -> None:
    with pytest.raises(BadInput, match=f"num_neighbours is {num_neighbours}, allowed are 1 to 70 with 70 rows"):
        nearest(QUERIES, POINTS, num_neighbours)


def test_as_many_neighbours_as_points_are_refused_among_themselves() -> None:
    with pytest.raises(BadInput, match="num_neighbours is 70, allowed are 1 to 69"):
        nearest(POINTS, POINTS, 70, among_themselves=True)


def test_features_that_say_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="samples: 1 rows of features, at least 2 are needed"):
        checked(POINTS[:1], "samples", 2)
    with pytest.raises(BadInput, match="reference: row 1 of 3 holds NaN"):
        checked(np.array([[0.0], [np.inf], [np.nan]]), "reference", 1)
    with pytest.raises(BadInput, match="training: all 4 rows of features are equal"):
        require_variance(np.full((4, 2), 0.1), "training")
    with pytest.raises(BadInput, match="recall: 5 features against 3"):
        require_same_width(POINTS, POINTS[:, :3], "recall")
    assert checked(POINTS.astype(np.float16), "samples", 2).dtype == np.float64
