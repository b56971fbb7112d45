"""Moments: equal to numpy on the whole, whatever the blocks; exact through bytes."""

import gc
import weakref

import numpy as np
import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.mergeable import OrderedMerge
from ganrnn.metrics.statistics.moments import Moments
from tests.unit.metrics.ordered import merge_in_order

FEATURES = np.random.default_rng(0).normal(size=(500, 7)) * np.arange(1, 8) + 100.0


def blocks(sizes: list[int]) -> dict[str, Moments]:
    ends = np.cumsum(sizes)
    assert ends[-1] == len(FEATURES)
    parts = zip(ends - sizes, ends, strict=True)
    return {f"block-{i:03d}": Moments.from_features(FEATURES[a:b]) for i, (a, b) in enumerate(parts)}


def test_whole_equals_numpy() -> None:
    moments = Moments.from_features(FEATURES)
    assert moments.count == 500
    np.testing.assert_allclose(moments.mean, FEATURES.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance(), np.cov(FEATURES, rowvar=False), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [[250, 250], [1, 499], [0, 500], [500, 0], [1] * 500, [3, 200, 0, 96, 1, 200]])
def test_merged_blocks_equal_the_whole(sizes: list[int]) -> None:
    whole, merged = Moments.from_features(FEATURES), merge_in_order(blocks(sizes))
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-12, atol=1e-12 * whole.scatter.max())


def test_merge_is_stable_far_from_the_origin() -> None:
    # The textbook sum of squares minus square of sums has no correct digit here: 1e9^2 * 2.2e-16 = 222.
    features = np.random.default_rng(1).normal(size=(1000, 2))
    near = Moments.from_features(features).covariance()
    far = Moments.from_features(features[:300] + 1e9).merge(Moments.from_features(features[300:] + 1e9)).covariance()
    np.testing.assert_allclose(far, near, rtol=1e-5, atol=1e-6)


def test_arrival_order_of_blocks_changes_no_bit() -> None:
    parts = blocks([50] * 10)
    expected = merge_in_order(parts).to_bytes()
    for seed in range(3):
        names = np.random.default_rng(seed).permutation(list(parts))
        assert merge_in_order({str(name): parts[str(name)] for name in names}).to_bytes() == expected


def test_float32_features_are_accumulated_in_float64() -> None:
    features = FEATURES.astype(np.float32)
    np.testing.assert_array_equal(
        Moments.from_features(features).scatter, Moments.from_features(features.astype(np.float64)).scatter
    )


def test_input_is_left_as_it_was() -> None:
    features = FEATURES.copy()
    Moments.from_features(features)
    np.testing.assert_array_equal(features, FEATURES)


@pytest.mark.parametrize("num_rows", [0, 1, 500])
def test_bytes_round_trip_is_exact(num_rows: int) -> None:
    moments = Moments.from_features(FEATURES[:num_rows])
    again = Moments.from_bytes(moments.to_bytes())
    assert again.count == num_rows and again.mean.dtype == again.scatter.dtype == np.float64
    np.testing.assert_array_equal(again.mean, moments.mean)
    np.testing.assert_array_equal(again.scatter, moments.scatter)
    assert again.to_bytes() == moments.to_bytes()
    assert again.merge(moments).count == 2 * num_rows


def test_blocks_without_rows_merge_as_nothing() -> None:
    moments, empty = Moments.from_features(FEATURES), Moments.from_features(FEATURES[:0])
    assert empty.merge(moments).to_bytes() == moments.merge(empty).to_bytes() == moments.to_bytes()
    assert empty.merge(empty).to_bytes() == empty.to_bytes()


def test_foreign_and_truncated_bytes_are_refused() -> None:
    data = Moments.from_features(FEATURES).to_bytes()
    for broken in (b"", data[:-1], data + b"\0", b"\x80\x04N."):
        with pytest.raises(BadInput, match="moments: "):
            Moments.from_bytes(broken)


def test_non_finite_features_are_refused_by_row() -> None:
    features = FEATURES.copy()
    features[3, 2] = np.nan
    with pytest.raises(BadInput, match="row 3 of 500"):
        Moments.from_features(features)


def test_covariance_of_one_sample_is_refused() -> None:
    with pytest.raises(BadInput, match="1 samples, at least 2"):
        Moments.from_features(FEATURES[:1]).covariance()


def test_blocks_without_samples_take_part_by_their_place_alone() -> None:
    first, second = (Moments.from_features(half) for half in (FEATURES[:250], FEATURES[250:]))
    merge = OrderedMerge[Moments]()
    for position, partial in ((3, second), (0, None), (2, None)):
        merge.add(position, partial)
        assert (merge.total is None and not merge.is_complete) or position == 0
    merge.add(1, first)
    assert merge.is_complete and merge.total is not None
    assert merge.total.to_bytes() == first.merge(second).to_bytes()
    assert OrderedMerge[Moments]().total is None


def test_what_is_in_the_sum_is_not_kept() -> None:
    merge, parts = OrderedMerge[Moments](), blocks([50] * 10)
    references = [weakref.ref(part) for part in parts.values()]
    for position, name in enumerate(sorted(parts)):
        merge.add(position, parts.pop(name))
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 1
