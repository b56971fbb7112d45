"""Scores of features beside distances of whole sets: quality and variety apart, twins, copies of training pictures.

All of them are of the subsets that `FeatureSubset` keeps, a uniform sample of each set in an order that means nothing:
of a training set that is larger, copies are seen as far as the copied pictures are among those.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ganrnn.metrics.images.feature_statistics import FeatureStatistics
from ganrnn.metrics.images.frechet_limit import ROWS_PER_FEATURE, frechet_limit
from ganrnn.metrics.images.memorisation import memorisation, near_duplicates
from ganrnn.metrics.images.precision_recall import manifold_scores
from ganrnn.metrics.statistics.intervals import wilson_interval

_LEAST_ROWS = 6  # of the fifth neighbour and the row itself

Features = NDArray[np.float64]


def feature_scores(
    samples: Features, sets: Mapping[str, FeatureStatistics], suffix: str, seed: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Scores by name, each ending in `suffix`, and 95 % intervals of those that have one; what has too few is left out.

    samples:   [N, D]
    sets:      `training` and `reference`, which no model has seen
    """
    reference, training = (sets[name].subset.features for name in ("reference", "training"))
    metrics, intervals = dict[str, float](), dict[str, list[float]]()
    if min(map(len, (samples, reference, training))) < _LEAST_ROWS:
        return metrics, intervals
    manifold = manifold_scores(samples, reference)
    for name in ("precision", "recall", "density", "coverage"):
        metrics[f"{name}{suffix}"] = getattr(manifold, name)
    metrics[f"near_duplicates{suffix}"] = near_duplicates(samples[: len(reference)], reference).share
    copied = memorisation(samples, training, reference).share_copied
    metrics[f"copied{suffix}"] = copied
    intervals[f"copied{suffix}"] = list(wilson_interval(round(copied * len(samples)), len(samples)))
    is_one = bool((samples == samples[0]).all())  # a distance that no further samples would change
    if len(samples) >= 2 * ROWS_PER_FEATURE * samples.shape[1] and not is_one:
        limit = frechet_limit(samples, sets["reference"].moments, seed)
        metrics[f"fid_limit{suffix}"], intervals[f"fid_limit{suffix}"] = limit.value, [limit.low, limit.high]
    return metrics, intervals
