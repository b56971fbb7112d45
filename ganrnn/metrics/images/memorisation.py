"""Whether samples copy training pictures or each other, by distances to nearest neighbours in feature space.

Samples are compared with held-out pictures of the same distribution. If the model has only learnt the distribution, its
samples are no nearer to the training pictures than held-out pictures are (Meehan et al. 2020, "A Non-Parametric Test to
Detect Data-Copying in Generative Models").
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.neighbours import checked, nearest, require_same_width, require_variance


@dataclass(frozen=True, eq=False)
class Memorisation:
    """Samples and held-out pictures compared with the training pictures.

    distances:             [N] float64, Euclidean, from each sample to its nearest training picture
    positions:             [N] int64, index of that training picture
    share_copied:          share of samples nearer to a training picture than that picture's nearest training picture
    share_copied_held_out: the same for held-out pictures: the expected share_copied without copying
    nearer_than_held_out:  probability that a random sample is nearer to the training pictures than a random held-out
                           picture, ties counted half: 0.5 without copying, 1 if all are copies, below 0.5 if
                           samples are farther from all real pictures
    """

    distances: NDArray[np.float64]
    positions: NDArray[np.int64]
    share_copied: float
    share_copied_held_out: float
    nearer_than_held_out: float


def memorisation(samples: NDArray[Any], training: NDArray[Any], held_out: NDArray[Any]) -> Memorisation:
    """Compare the nearest training pictures of samples with those of held-out pictures.

    samples:   [N, D] features of any real dtype, N >= 1
    training:  [T, D] features of the training pictures, T >= 2
    held_out:  [H, D] features of pictures of the same distribution that the model was not trained on, H >= 1

    Raises BadInput if a set is too small, all training rows are equal, a feature is not finite, or the numbers of
    features differ.
    """
    x, t, h = checked(samples, "samples", 1), checked(training, "training", 2), checked(held_out, "held out", 1)
    require_same_width(x, t, "memorisation")
    require_same_width(h, t, "memorisation")
    require_variance(t, "training")
    (of_training, _), (of_samples, positions), (of_held_out, held_out_positions) = (
        nearest(t, t, 1, among_themselves=True),
        nearest(x, t, 1),
        nearest(h, t, 1),
    )
    return Memorisation(
        np.sqrt(of_samples[:, 0]),
        positions[:, 0],
        float((of_samples < of_training[positions[:, 0]]).mean()),
        float((of_held_out < of_training[held_out_positions[:, 0]]).mean()),
        _share_smaller(of_samples[:, 0], of_held_out[:, 0]),
    )


def _share_smaller(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Share of the pairs of a [N] and b [M] in which a is smaller, ties counted half (Mann & Whitney 1947)."""
    ordered = np.sort(b)
    larger = len(b) - np.searchsorted(ordered, a, "right")
    ties = np.searchsorted(ordered, a, "right") - np.searchsorted(ordered, a, "left")
    return float((larger + ties / 2).mean() / len(b))


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Samples that are nearly equal to another sample.

    share:      share of the samples whose nearest other sample is no farther than `threshold`
    threshold:  Euclidean distance: a quantile of the distances from real pictures to their nearest other real picture
    distances:  [N] float64, from each sample to its nearest other sample
    positions:  [N] int64, index of that sample
    """

    share: float
    threshold: float
    distances: NDArray[np.float64]
    positions: NDArray[np.int64]


def near_duplicates(samples: NDArray[Any], real: NDArray[Any], quantile: float = 0.01) -> NearDuplicates:
    """How many samples have a near-duplicate, at the threshold where the share `quantile` of real pictures has one.

    samples:   [N, D] features of any real dtype, N >= 2
    real:      [M, D], M >= N; only the first N are used, because neighbours get nearer as sets grow, so the order must
               be random, as in `FeatureSubset`
    quantile:  share of real pictures below the threshold, between 0 and 1

    Raises BadInput if a set is too small, all real rows are equal, a feature is not finite, the numbers of features
    differ, or quantile is out of range.
    """
    x, y = checked(samples, "samples", 2), checked(real, "real", len(samples))[: len(samples)]
    require_same_width(x, y, "near duplicates")
    require_variance(y, "real")
    if not 0 < quantile < 1:
        raise BadInput(f"near duplicates: quantile is {quantile}, allowed is between 0 and 1")
    threshold = float(np.quantile(np.sqrt(nearest(y, y, 1, among_themselves=True)[0]), quantile))
    squares, positions = nearest(x, x, 1, among_themselves=True)
    distances = np.sqrt(squares[:, 0])
    return NearDuplicates(float((distances <= threshold).mean()), threshold, distances, positions[:, 0])
