"""Mean and covariance of features, mergeable: `Moments.from_features` per block, then `OrderedMerge`."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.mergeable import arrays_from_bytes


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of a set of D-dimensional features.

    count:    number of samples
    mean:     [D] float64
    scatter:  [D, D] float64, sum over samples of (x - mean)(x - mean)^T
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def from_features(cls, features: NDArray[Any]) -> Self:
        """Moments of features [N, D] of any real dtype, N >= 0, by two passes in float64.

        Raises BadInput if a feature is NaN or infinite.
        """
        assert features.ndim == 2, features.shape
        x = features.astype(np.float64)
        finite = np.isfinite(x).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise BadInput(f"features: row {row} of {len(x)} holds NaN or infinity, only finite numbers are allowed")
        if len(x) == 0:
            return cls(0, np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1])))
        mean = x.mean(axis=0)
        x -= mean
        return cls(len(x), mean, x.T @ x)

    def merge(self, other: Self) -> Self:
        """Moments of the union of two disjoint sets of samples (Chan, Golub & LeVeque 1979, pairwise update)."""
        assert self.mean.shape == other.mean.shape, (self.mean.shape, other.mean.shape)
        if other.count == 0:
            return self
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        scatter = self.scatter + other.scatter + np.outer(delta, delta) * (self.count * other.count / count)
        return type(self)(count, mean, scatter)

    def covariance(self) -> NDArray[np.float64]:
        """Unbiased covariance [D, D], divisor N - 1 (as in torch-fidelity and numpy.cov).

        Raises BadInput if there are fewer than 2 samples.
        """
        if self.count < 2:
            raise BadInput(f"covariance: {self.count} samples, at least 2 are needed")
        return self.scatter / (self.count - 1)

    def to_bytes(self) -> bytes:
        """Exact safetensors form; equal moments give equal bytes."""
        return save({"count": np.array([self.count], np.int64), "mean": self.mean, "scatter": self.scatter})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Inverse of `to_bytes`, exact to the last bit. Raises BadInput for bytes of anything else."""
        arrays = arrays_from_bytes(data, ("count", "mean", "scatter"), "moments")
        return cls(int(arrays["count"][0]), arrays["mean"], arrays["scatter"])
