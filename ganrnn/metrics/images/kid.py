"""Kernel Inception Distance: `FeatureSubset.from_features` per block, `OrderedMerge`, then `kernel_distance` of two.

Bińkowski et al. 2018, "Demystifying MMD GANs". The estimate is unbiased for any number of samples, but pairwise kernels
do not merge, so statistics keep a fixed-size sample of the features: the rows whose ids have the smallest hashes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.mergeable import arrays_from_bytes
from ganrnn.metrics.statistics.neighbours import checked, require_same_width


@dataclass(frozen=True, eq=False)
class FeatureSubset:
    """The features of the `limit` samples with the smallest id hashes: a uniform sample that no order or block changes.

    limit:       maximum number of rows
    sample_ids:  [M] ids, M <= limit, in the order of their hashes
    features:    [M, D] float64
    """

    limit: int
    sample_ids: tuple[str, ...]
    features: NDArray[np.float64]

    @classmethod
    def from_features(cls, features: NDArray[Any], sample_ids: Sequence[str], limit: int) -> Self:
        """Subset of one block of samples.

        features:    [N, D] of any real dtype
        sample_ids:  [N] ids, each of them unique over all blocks
        limit:       maximum number of rows, at least 1

        Raises BadInput if limit is below 1, an id occurs twice or a feature is NaN, infinite or beyond 1e50.
        """
        assert features.ndim == 2 and len(sample_ids) == len(features), (features.shape, len(sample_ids))
        if limit < 1:
            raise BadInput(f"feature subset: limit is {limit}, at least 1 is needed")
        order = _ranked(sample_ids)[:limit]
        x = checked(features, "feature subset", 0)
        return cls(limit, tuple(sample_ids[i] for i in order), x[order])

    def merge(self, other: Self) -> Self:
        """Subset of the union of two disjoint sets of samples; commutative and associative to the last bit.

        Raises BadInput if an id occurs in both sets: an id that could change the result is always in both subsets.
        """
        assert self.limit == other.limit and self.features.shape[1] == other.features.shape[1]
        sample_ids = self.sample_ids + other.sample_ids
        order = _ranked(sample_ids)[: self.limit]
        features = np.concatenate((self.features, other.features))[order]
        return type(self)(self.limit, tuple(sample_ids[i] for i in order), features)

    def to_bytes(self) -> bytes:
        """Exact safetensors form; equal subsets give equal bytes."""
        sample_ids = np.frombuffer(json.dumps(self.sample_ids).encode(), np.uint8)
        return save({"limit": np.array([self.limit], np.int64), "sample_ids": sample_ids, "features": self.features})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Inverse of `to_bytes`, exact to the last bit. Raises BadInput for bytes of anything else."""
        arrays = arrays_from_bytes(data, ("limit", "sample_ids", "features"), "feature subset")
        return cls(int(arrays["limit"][0]), tuple(json.loads(arrays["sample_ids"].tobytes())), arrays["features"])


def _ranked(sample_ids: Sequence[str]) -> list[int]:
    """Positions of the ids in the order of their hashes."""
    keys = [(blake2b(i.encode(), digest_size=16, person=b"feature-subset").digest(), i) for i in sample_ids]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for before, after in pairwise(order):
        if keys[before] == keys[after]:
            raise BadInput(f"feature subset: sample id {sample_ids[before]!r} occurs twice, ids must be unique")
    return order


def kernel_distance(
    x: NDArray[Any], y: NDArray[Any], num_subsets: int, subset_size: int, seed: int
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the unbiased MMD^2 with kernel (x.y / D + 1)^3.

    x:            [N, D] features of samples, in a fixed order such as `FeatureSubset.features` has
    y:            [M, D] features of the reference
    num_subsets:  subsets drawn from each side (100 in the paper)
    subset_size:  rows of a subset, drawn without replacement, 2 to min(N, M) (1000 in the paper)
    seed:         seed of the draws

    The divisor of the deviation is num_subsets. The mean may be slightly negative if the distributions agree, and is
    negative if x is y. All rows of a set may be equal.

    Raises BadInput if a size does not fit, or a feature is NaN, infinite or beyond 1e50.
    """
    require_same_width(x, y, "kernel distance")
    x, y = checked(x, "kernel distance, samples", 0), checked(y, "kernel distance, reference", 0)
    if num_subsets < 1:
        raise BadInput(f"kernel distance: num_subsets is {num_subsets}, at least 1 is needed")
    if not 2 <= subset_size <= min(len(x), len(y)):
        raise BadInput(
            f"kernel distance: subset_size is {subset_size}, allowed are 2 to {min(len(x), len(y))}, "
            f"the smaller count of {len(x)} and {len(y)} samples"
        )
    generator = np.random.Generator(np.random.Philox(seed))
    estimates = np.empty(num_subsets)
    for i in range(num_subsets):
        rows_x = generator.choice(len(x), subset_size, replace=False)
        rows_y = generator.choice(len(y), subset_size, replace=False)
        estimates[i] = _unbiased_mmd2(x[rows_x], y[rows_y])
    return float(estimates.mean()), float(estimates.std())


def _unbiased_mmd2(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    size, dimensions = x.shape
    within_x, within_y, between = ((a @ b.T / dimensions + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    off_diagonal = within_x.sum() - np.trace(within_x) + within_y.sum() - np.trace(within_y)
    return float(off_diagonal / (size * (size - 1)) - 2 * between.mean())
