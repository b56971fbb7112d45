"""Inception Score from sums that merge: `InceptionSums.from_probabilities` per block, `OrderedMerge`, then `score()`.

Salimans et al. 2016, "Improved Techniques for Training GANs": exp of the mean KL(p(y|x) || p(y)) of each split, then
mean and standard deviation over the splits. A hash of the sample id picks the split, because consecutive splits of data
ordered by class would contain few classes each and score far too low.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.mergeable import arrays_from_bytes


@dataclass(frozen=True, eq=False)
class InceptionSums:
    """Sums over the samples of each of S splits, for K classes.

    counts:       [S] int64, number of samples
    sums:         [S, K] float64, sum of p
    entropy_sums: [S] float64, sum over samples and classes of p log p
    """

    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    entropy_sums: NDArray[np.float64]

    @classmethod
    def from_probabilities(cls, probabilities: NDArray[Any], sample_ids: Sequence[str], num_splits: int) -> Self:
        """Sums of one block of samples.

        probabilities: [N, K] class probabilities, each row summing to 1 within 1e-3
        sample_ids:    [N] ids, which choose the splits
        num_splits:    S >= 1 (10 in the paper)

        Raises BadInput if num_splits is below 1 or a row is not a distribution.
        """
        assert probabilities.ndim == 2 and len(sample_ids) == len(probabilities), (probabilities.shape, len(sample_ids))
        if num_splits < 1:
            raise BadInput(f"inception score: num_splits is {num_splits}, at least 1 is needed")
        p = probabilities.astype(np.float64)
        valid = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) < 1e-3)
        if not valid.all():
            bad_id = sample_ids[int(np.argmin(valid))]
            raise BadInput(
                f"inception score: sample {bad_id!r} has class probabilities below 0 or of a sum other than 1"
            )
        p_log_p = (p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
        splits = np.array([_split(sample_id, num_splits) for sample_id in sample_ids], np.int64)
        members = [splits == split for split in range(num_splits)]
        return cls(
            np.bincount(splits, minlength=num_splits).astype(np.int64),
            np.stack([p[member].sum(axis=0) for member in members]),
            np.array([p_log_p[member].sum() for member in members]),
        )

    def merge(self, other: Self) -> Self:
        """Sums of the union of two disjoint sets of samples with the same splits and classes."""
        assert self.sums.shape == other.sums.shape, (self.sums.shape, other.sums.shape)
        return type(self)(self.counts + other.counts, self.sums + other.sums, self.entropy_sums + other.entropy_sums)

    @property
    def num_empty(self) -> int:
        """How many splits have no sample; with one that has none, there is no score."""
        return int((self.counts == 0).sum())

    def score(self) -> tuple[float, float]:
        """Mean and standard deviation (divisor S) over the splits of exp(mean KL), which lies between 1 and K.

        Raises BadInput if a split has no sample.
        """
        if self.num_empty:
            raise BadInput(
                f"inception score: {self.counts.sum()} samples leave one of {len(self.counts)} splits empty, "
                "each needs at least 1: take more samples or fewer splits"
            )
        marginal = self.sums / self.counts[:, None]
        marginal_entropy_sums = (marginal * np.log(np.where(marginal > 0, marginal, 1.0))).sum(axis=1)
        scores = np.exp(self.entropy_sums / self.counts - marginal_entropy_sums)
        return float(scores.mean()), float(scores.std())

    def to_bytes(self) -> bytes:
        """Exact safetensors form; equal sums give equal bytes."""
        return save({"counts": self.counts, "sums": self.sums, "entropy_sums": self.entropy_sums})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Inverse of `to_bytes`, exact to the last bit. Raises BadInput for bytes of anything else."""
        arrays = arrays_from_bytes(data, ("counts", "sums", "entropy_sums"), "inception sums")
        return cls(arrays["counts"], arrays["sums"], arrays["entropy_sums"])


def fills(sample_ids: Iterable[str], num_splits: int) -> bool:
    """Whether each split has one of these samples; reads no more ids than that takes."""
    seen = set()
    for sample_id in sample_ids:
        seen.add(_split(sample_id, num_splits))
        if len(seen) == num_splits:
            return True
    return False


def _split(sample_id: str, num_splits: int) -> int:
    digest = blake2b(sample_id.encode(), digest_size=8, person=b"inception-split").digest()
    return int.from_bytes(digest, "little") % num_splits
