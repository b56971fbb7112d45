"""Kernel Inception Distance: the estimator written out, its expectation, and subsets that no order or block changes."""

from hashlib import blake2b

import numpy as np
import pytest
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.kid import FeatureSubset, kernel_distance
from tests.unit.metrics.ordered import merge_in_order

FEATURES = np.random.default_rng(0).normal(size=(300, 5))
IDS = [f"sample-{i:05d}" for i in range(300)]


def mmd2_by_loops(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    def kernel(u: NDArray[np.float64], v: NDArray[np.float64]) -> float:
        return float((u @ v / len(u) + 1) ** 3)

    size = len(x)
    pairs = [(i, j) for i in range(size) for j in range(size)]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs if i != j) / (size * (size - 1))
    return within - 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / size**2


def test_full_subset_equals_the_estimator_written_out() -> None:
    x, y = FEATURES[:20], FEATURES[20:40] * 1.5 + 0.3
    mean, std = kernel_distance(x, y, num_subsets=3, subset_size=20, seed=0)
    assert mean == pytest.approx(mmd2_by_loops(x, y), rel=1e-10)
    assert std == pytest.approx(0.0, abs=1e-12)


def test_one_dimension_by_hand() -> None:
    # k(0,0)=k(0,1)=1, k(1,1)=8: within = 1 + 8, between = 1 for x = {0, 0} and y = {1, 1}
    assert kernel_distance(np.zeros((2, 1)), np.ones((2, 1)), 1, 2, 0) == (9.0 - 2.0, 0.0)


def test_same_distribution_is_zero_within_the_error() -> None:
    rng = np.random.default_rng(1)
    mean, std = kernel_distance(rng.normal(size=(2000, 4)), rng.normal(size=(2000, 4)), 10, 400, 0)
    assert 0 < std < 0.05 and abs(mean) < 0.02
    shifted, _ = kernel_distance(rng.normal(size=(2000, 4)), rng.normal(size=(2000, 4)) + 1, 5, 400, 0)
    assert shifted > 1.0


def test_estimate_is_unbiased_in_the_subset_size() -> None:
    # FID at so few samples is several times its limit; here a small subset has the same expectation as a large one.
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(4000, 4)), rng.normal(size=(4000, 4)) * 1.3
    small, small_std = kernel_distance(x, y, 800, 10, 0)
    large, _ = kernel_distance(x, y, 4, 1000, 0)
    assert abs(small - large) < 4 * small_std / np.sqrt(800)


def test_seed_decides_the_subsets() -> None:
    x, y = FEATURES[:150], FEATURES[150:]
    assert kernel_distance(x, y, 5, 20, 7) == kernel_distance(x, y, 5, 20, 7)
    assert kernel_distance(x, y, 5, 20, 7) != kernel_distance(x, y, 5, 20, 8)


@pytest.mark.parametrize(
    ("x", "y", "num_subsets", "subset_size", "message"),
    [
        (FEATURES[:5], FEATURES, 1, 6, "subset_size is 6, allowed are 2 to 5"),
        (FEATURES, FEATURES, 1, 1, "subset_size is 1"),
        (FEATURES, FEATURES, 0, 5, "num_subsets is 0"),
        (FEATURES, FEATURES[:, :3], 1, 5, "5 features against 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    x: NDArray[np.float64], y: NDArray[np.float64], num_subsets: int, subset_size: int, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        kernel_distance(x, y, num_subsets, subset_size, 0)


def test_subset_holds_the_smallest_hashes_with_their_own_features() -> None:
    subset = FeatureSubset.from_features(FEATURES, IDS, 40)
    by_hash = sorted(IDS, key=lambda i: blake2b(i.encode(), digest_size=16, person=b"feature-subset").digest())
    assert subset.sample_ids == tuple(by_hash[:40])
    np.testing.assert_array_equal(subset.features, FEATURES[[IDS.index(i) for i in by_hash[:40]]])


@pytest.mark.parametrize("limit", [1, 40, 300, 1000])
@pytest.mark.parametrize("num_blocks", [2, 7, 300])
def test_order_and_partition_change_no_bit(limit: int, num_blocks: int) -> None:
    whole = FeatureSubset.from_features(FEATURES, IDS, limit)
    rng = np.random.default_rng(num_blocks)
    names = iter(rng.permutation(num_blocks))
    merged = merge_in_order(
        {
            f"{next(names):03d}": FeatureSubset.from_features(FEATURES[rows], [IDS[row] for row in rows], limit)
            for rows in np.array_split(rng.permutation(300), num_blocks)
        }
    )
    assert merged.to_bytes() == whole.to_bytes()
    assert len(merged.sample_ids) == min(limit, 300)


def test_subset_is_an_unbiased_sample() -> None:
    values = np.arange(20000, dtype=np.float64)[:, None]
    kept = FeatureSubset.from_features(values, [f"row-{i}" for i in range(20000)], 2000).features
    assert abs(kept.mean() - 9999.5) < 4 * 5774 / np.sqrt(2000)


@pytest.mark.parametrize("limit", [1, 5, 300])
def test_repeated_id_never_changes_a_subset_unseen(limit: int) -> None:
    first = FeatureSubset.from_features(FEATURES, IDS, limit)
    kept, other = first.sample_ids[-1], FEATURES[:1] + 1
    with pytest.raises(BadInput, match=f"'{kept}' occurs twice"):
        first.merge(FeatureSubset.from_features(other, [kept], limit))
    with pytest.raises(BadInput, match=f"'{kept}' occurs twice"):
        FeatureSubset.from_features(np.concatenate((FEATURES, other)), [*IDS, kept], limit)


def test_bytes_round_trip_is_exact() -> None:
    ids = ["红色的圆", 'quote " and \n newline', "\0", ""]
    subset = FeatureSubset.from_features(FEATURES[:4].astype(np.float32), ids, 10)
    again = FeatureSubset.from_bytes(subset.to_bytes())
    assert (again.limit, again.sample_ids) == (10, subset.sample_ids) and set(ids) == set(again.sample_ids)
    np.testing.assert_array_equal(again.features, subset.features)
    assert again.features.dtype == np.float64 and again.to_bytes() == subset.to_bytes()
    with pytest.raises(BadInput, match="feature subset"):
        FeatureSubset.from_bytes(subset.to_bytes()[:40])


def test_block_without_rows_merges_as_nothing() -> None:
    subset = FeatureSubset.from_features(FEATURES, IDS, 40)
    empty = FeatureSubset.from_features(np.zeros((0, 5)), [], 40)
    assert FeatureSubset.from_bytes(empty.to_bytes()).merge(subset).to_bytes() == subset.to_bytes()


def test_bad_limit_is_refused() -> None:
    with pytest.raises(BadInput, match="limit is 0"):
        FeatureSubset.from_features(FEATURES, IDS, 0)
