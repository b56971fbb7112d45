"""Fréchet distance of infinitely many samples: `frechet_limit(features of samples, Moments of reference, ...)`.

Chong & Forsyth 2020, "Effectively Unbiased FID and Inception Score and Where to Find Them": the distance of N samples
is too large by about c / N, with a c of the generator's own, so a line through the distances at several N is followed
to 1 / N = 0. Two things differ from the paper. All samples serve at each N, in parts that do not overlap, which takes
the error of the first order out of the slope. And the interval comes from a bootstrap of the samples: what remains of
the first order is the mean of each sample's influence on the distance (Rippl, Munk & Sturm 2016, "Limit laws of the
empirical Wasserstein distance: Gaussian distributions"), and a mean can be resampled a thousand times at no cost. To
resample whole distances would count samples twice, which makes each of them too large.
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
# Of the smallest part. At 1 row a feature the curve bends so far that the limit comes out too small by a third of the
# bias that it shall take away, at 2 by a tenth.
ROWS_PER_FEATURE = 2
# Share of the bias slope / N that the line leaves, measured on Gaussians of 6 to 128 features that are their own
# reference or not: 2 to 10 % at 4 samples a feature, 2 to 8 at 16. With many features it outgrows the noise.
_SHARE_LEFT = 0.1
_NUM_RESAMPLES = 1_000


@dataclass(frozen=True)
class FrechetLimit:
    """The limit, and what it was taken from.

    value:      the intercept of the line; may be slightly negative where the distributions agree
    low, high:  of the interval with the given confidence, for other samples of the same model and the same reference;
                reaches higher by a tenth of slope / N, the most that the line has been seen to leave of the bias. At 8
                samples a feature and more one of 95 % holds the limit 9 times in 10 or more often, also where the
                distributions agree
    slope:      c, the bias is c / N
    counts:     sizes N of the parts, largest first
    distances:  mean distance at each of them
    """

    value: float
    low: float
    high: float
    slope: float
    counts: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_limit(samples: NDArray[Any], reference: Moments, seed: int, confidence: float = 0.95) -> FrechetLimit:
    """Extrapolate the distance of samples from a reference; its own bias, that of the reference's count, stays.

    samples:     [N, D] features of any real dtype, N >= 4 D, in an order that does not matter to the expectation
    reference:   moments of the same D features, at least 2 samples
    seed:        of the partition and of the bootstrap
    confidence:  of the interval, between 0 and 1

    Takes 3 to 15 distances; at D = 2048, where 8,192 samples are the least, some 10 s on one core.

    Raises BadInput when there are too few samples, a feature is not finite, all rows are equal, the numbers of features
    differ, or confidence is outside.
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
    """By how much more of each row of [N, D] would change the distance, per share of it: [N], mean 0.

    With S the covariance of the rows, R that of the reference, y a row less the mean of all and d the difference of the
    means: 2 d.y + y.(I - T) y less the mean of all, where T = R^(1/2) (R^(1/2) S R^(1/2))^(-1/2) R^(1/2).
    """
    own = Moments.from_features(x)
    eigenvalues, vectors = np.linalg.eigh(reference.covariance())
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    product = root.T @ own.covariance() @ root
    eigenvalues, vectors = np.linalg.eigh((product + product.T) / 2)
    kept = eigenvalues > max(eigenvalues[-1], 0.0) * len(eigenvalues) * np.finfo(np.float64).eps
    y = x - own.mean
    moved = y @ (root @ vectors[:, kept]) * eigenvalues[kept] ** -0.25
    influences = 2 * y @ (own.mean - reference.mean) + (y * y).sum(axis=1) - (moved * moved).sum(axis=1)
    centred: NDArray[np.float64] = influences - influences.mean()
    return centred
