"""Fréchet distance of infinitely many samples: `frechet_limit(features of samples, Moments of reference, ...)`.

Chong & Forsyth 2020, "Effectively Unbiased FID and Inception Score and Where to Find Them": the distance of N samples
is too large by about c / N, where c depends on the generator, so a line through the distances at several N is
extrapolated to 1 / N = 0. Two things differ from the paper. All samples are used at each N, in disjoint parts, which
removes the first-order error from the slope. And the interval comes from a bootstrap of the samples: the remaining
first-order error is the mean of each sample's influence on the distance (Rippl, Munk & Sturm 2016, "Limit laws of the
empirical Wasserstein distance: Gaussian distributions"), and a mean is resampled a thousand times at little cost.
Resampling whole distances would count samples twice, which makes every distance too large.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.metrics.statistics.neighbours import checked, require_variance

MOST_PARTS = 5
# Rows per feature in the smallest part. At 1 row the curve bends so much that the limit is too small by a third of the
# bias that it is to remove, at 2 rows by a tenth.
ROWS_PER_FEATURE = 2
# Share of the bias slope / N that the line does not remove, measured on Gaussians of 6 to 128 features, equal to their
# reference or not: 2 to 10 % at 4 samples per feature, 2 to 8 % at 16. With many features it exceeds the noise.
_SHARE_LEFT = 0.1
_NUM_RESAMPLES = 1_000


@dataclass(frozen=True)
class FrechetLimit:
    """The limit and the line that it was extrapolated from.

    value:      the intercept of the line; may be slightly negative where the distributions agree
    low, high:  bounds of the interval with the given confidence, for other samples of the same model and the same
                reference; `high` includes a tenth of slope / N, the largest measured share of the bias that the line
                does not remove. From 8 samples per feature on, an interval of 95 % contains the limit at least 9 times
                in 10, also if the distributions agree
    slope:      c of the bias c / N
    counts:     sizes N of the parts, the largest first
    distances:  mean distance of the parts of each size
    """

    value: float
    low: float
    high: float
    slope: float
    counts: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_limit(samples: NDArray[Any], reference: Moments, seed: int, confidence: float = 0.95) -> FrechetLimit:
    """Extrapolate the distance of samples from a reference; the bias from the reference's own count stays.

    samples:     [N, D] features of any real dtype, N >= 4 D; their order does not change the expectation
    reference:   moments of the same D features, at least 2 samples
    seed:        seed of the partition and of the bootstrap
    confidence:  confidence of the interval, between 0 and 1

    Computes 3 to 15 distances; at D = 2048, where at least 8,192 samples are needed, about 10 s on one core.

    Raises BadInput if there are too few samples, a feature is not finite, all rows are equal, the numbers of features
    differ, or confidence is out of range.
    """
    dimensions = samples.shape[1]
    x = checked(samples, "Fréchet limit", 2 * ROWS_PER_FEATURE * dimensions)
    require_variance(x, "Fréchet limit")
    if not 0 < confidence < 1:
        raise BadInput(f"Fréchet limit: confidence is {confidence}, allowed is between 0 and 1")
    generator = np.random.Generator(np.random.Philox(seed))
    x = x[generator.permutation(len(x))]
    counts, distances = [], []
    for num_parts in range(1, min(len(x) // (ROWS_PER_FEATURE * dimensions), MOST_PARTS) + 1):
        count = len(x) // num_parts
        parts = [Moments.from_features(x[i * count : (i + 1) * count]) for i in range(num_parts)]
        counts.append(count)
        distances.append(float(np.mean([frechet_distance(part, reference) for part in parts])))
    slope, value = np.polyfit(1 / np.array(counts), distances, 1)
    influences = _influences(x, reference)
    errors = [influences[generator.integers(len(x), size=len(x))].mean() for _ in range(_NUM_RESAMPLES)]
    low, high = value + np.quantile(errors, [(1 - confidence) / 2, (1 + confidence) / 2])
    high += _SHARE_LEFT * max(slope, 0.0) / len(x)
    return FrechetLimit(float(value), float(low), float(high), float(slope), tuple(counts), tuple(distances))


def _influences(x: NDArray[np.float64], reference: Moments) -> NDArray[np.float64]:
    """The influence of each row of [N, D] on the distance, per share of the rows: [N], mean 0.

    With S the covariance of the rows, R that of the reference, y a row less the mean of all and d the difference of the
    means: 2 d.y + y.(I - T) y less the mean of all, where T = R^(1/2) (R^(1/2) S R^(1/2))^(-1/2) R^(1/2).
    """
    moments = Moments.from_features(x)
    eigenvalues, vectors = np.linalg.eigh(reference.covariance())
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    product = root.T @ moments.covariance() @ root
    eigenvalues, vectors = np.linalg.eigh((product + product.T) / 2)
    is_positive = eigenvalues > max(eigenvalues[-1], 0.0) * len(eigenvalues) * np.finfo(np.float64).eps
    y = x - moments.mean
    transported = y @ (root @ vectors[:, is_positive]) * eigenvalues[is_positive] ** -0.25
    influences = 2 * y @ (moments.mean - reference.mean) + (y * y).sum(axis=1) - (transported * transported).sum(axis=1)
    centred: NDArray[np.float64] = influences - influences.mean()
    return centred
