"""Inception Score: closed forms, the formula written out, and independence of blocks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.inception_score import InceptionSums
from tests.unit.metrics.ordered import merge_in_order

IDS = [f"sample-{i:05d}" for i in range(600)]


def softmax_rows(count: int, num_classes: int) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(3 * np.random.default_rng(0).normal(size=(count, num_classes)))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def test_one_split_equals_the_formula() -> None:
    p = softmax_rows(600, 8)
    expected = np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean())
    mean, std = InceptionSums.from_probabilities(p, IDS, 1).score()
    assert mean == pytest.approx(expected, rel=1e-12) and std == 0.0


def test_splits_are_scored_apart() -> None:
    p = softmax_rows(600, 8)
    # A split's members show in the sums of indicator rows: 600 classes, one per sample.
    owner = InceptionSums.from_probabilities(np.eye(600), IDS, 4).sums
    assert (owner.sum(axis=0) == 1).all() and owner.sum(axis=1).min() > 100
    scores = []
    for split in range(4):
        q = p[owner[split] == 1]
        scores.append(np.exp((q * (np.log(q) - np.log(q.mean(axis=0)))).sum(axis=1).mean()))
    mean, std = InceptionSums.from_probabilities(p, IDS, 4).score()
    assert mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert std == pytest.approx(np.std(scores), rel=1e-9)


def test_uniform_one_hot_scores_the_number_of_classes() -> None:
    one_hot = np.eye(10)[np.arange(600) % 10]
    mean, std = InceptionSums.from_probabilities(one_hot, IDS, 1).score()
    assert mean == pytest.approx(10.0, rel=1e-12) and std == 0.0


@pytest.mark.parametrize("row", [np.full(10, 0.1), np.eye(10)[3]])
def test_constant_predictions_score_one(row: NDArray[np.float64]) -> None:
    mean, std = InceptionSums.from_probabilities(np.tile(row, (600, 1)), IDS, 10).score()
    assert mean == pytest.approx(1.0, rel=1e-12) and std == pytest.approx(0.0, abs=1e-12)


def test_data_ordered_by_class_loses_nothing() -> None:
    # Consecutive splits would hold one class each and score 1.
    ordered = np.eye(10)[np.arange(600) // 60]
    assert InceptionSums.from_probabilities(ordered, IDS, 10).score()[0] > 8.5


@pytest.mark.parametrize("num_blocks", [2, 7, 600])
def test_merged_blocks_in_any_row_order_equal_the_whole(num_blocks: int) -> None:
    p = softmax_rows(600, 8)
    whole = InceptionSums.from_probabilities(p, IDS, 10)
    order = np.random.default_rng(num_blocks).permutation(600)
    merged = merge_in_order(
        {
            f"{i:03d}": InceptionSums.from_probabilities(p[rows], [IDS[row] for row in rows], 10)
            for i, rows in enumerate(np.array_split(order, num_blocks))
        }
    )
    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_allclose(merged.sums, whole.sums, rtol=1e-12)
    np.testing.assert_allclose(merged.entropy_sums, whole.entropy_sums, rtol=1e-12)
    assert merged.score() == pytest.approx(whole.score(), rel=1e-11)


def test_arrival_order_of_blocks_changes_no_bit() -> None:
    p = softmax_rows(600, 8)
    parts = {str(i): InceptionSums.from_probabilities(p[i : i + 60], IDS[i : i + 60], 10) for i in range(0, 600, 60)}
    assert merge_in_order(dict(reversed(parts.items()))).to_bytes() == merge_in_order(parts).to_bytes()


def test_the_split_of_an_id_is_fixed_for_good() -> None:
    # Pinned: a change would change published scores.
    sums = InceptionSums.from_probabilities(np.eye(4), ["a", "b", "prompt-7/0", "红色的圆"], 10)
    assert sums.sums.argmax(axis=0).tolist() == [5, 2, 3, 8]


def test_bytes_round_trip_is_exact() -> None:
    sums = InceptionSums.from_probabilities(softmax_rows(600, 8), IDS, 10)
    again = InceptionSums.from_bytes(sums.to_bytes())
    assert again.to_bytes() == sums.to_bytes() and again.score() == sums.score()
    assert again.counts.dtype == np.int64 and again.sums.dtype == again.entropy_sums.dtype == np.float64
    with pytest.raises(BadInput, match="inception sums"):
        InceptionSums.from_bytes(sums.to_bytes()[:-8])


def test_block_without_rows_merges_as_nothing() -> None:
    sums = InceptionSums.from_probabilities(softmax_rows(600, 8), IDS, 10)
    empty = InceptionSums.from_probabilities(np.zeros((0, 8)), [], 10)
    assert sums.merge(empty).to_bytes() == empty.merge(sums).to_bytes() == sums.to_bytes()


@pytest.mark.parametrize("bad_row", [[0.5, 0.4], [1.2, -0.2], [float("nan"), 1.0]])
def test_rows_that_are_no_distribution_are_refused_by_id(bad_row: list[float]) -> None:
    with pytest.raises(BadInput, match="'sample-00001'"):
        InceptionSums.from_probabilities(np.array([[0.5, 0.5], bad_row]), IDS[:2], 1)


def test_empty_split_and_bad_number_of_splits_are_refused() -> None:
    with pytest.raises(BadInput, match="2 samples leave one of 10 splits empty"):
        InceptionSums.from_probabilities(np.eye(2), IDS[:2], 10).score()
    with pytest.raises(BadInput, match="num_splits is 0"):
        InceptionSums.from_probabilities(np.eye(2), IDS[:2], 0)
