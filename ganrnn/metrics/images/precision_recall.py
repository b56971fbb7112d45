"""Fidelity and diversity of samples by neighbourhoods in feature space: precision, recall, density, coverage.

Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", and Naeem et al. 2020,
"Reliable Fidelity and Diversity Metrics for Generative Models". The radius of the ball around a picture is the distance
to its k-th nearest neighbour in the same set. All four scores depend on the numbers of pictures: compare equal counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn.metrics.statistics.neighbours import (
    checked,
    distance_blocks,
    nearest,
    require_same_width,
    require_variance,
    settle,
)


@dataclass(frozen=True)
class ManifoldScores:
    """Shares between 0 and 1; only density may be larger, and is about 1 if samples and reference agree.

    precision:  share of the samples that lie in a ball of the reference
    recall:     share of the reference that lies in a ball of the samples
    density:    number of balls of the reference that a sample lies in, on average, over the number of neighbours
    coverage:   share of the balls of the reference that contain a sample
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    samples: NDArray[Any], reference: NDArray[Any], precision_neighbours: int = 3, density_neighbours: int = 5
) -> ManifoldScores:
    """All four scores of samples against a reference.

    samples:               [N, D] features of any real dtype
    reference:             [M, D]
    precision_neighbours:  k of precision and recall, as in the paper; balls are closed
    density_neighbours:    k of density and coverage, as in the paper; balls are open, so that a copy of the reference
                           has a density of 1

    Samples may all be equal: their recall is 0, which a report should show. Raises BadInput if a set has no more than k
    rows, all rows of the reference are equal, a feature is not finite, or the numbers of features differ.
    """
    x, y = checked(samples, "samples", 2), checked(reference, "reference", 2)
    require_same_width(x, y, "precision and recall")
    require_variance(y, "reference")
    max_neighbours = max(precision_neighbours, density_neighbours)
    around_reference, _ = nearest(y, y, max_neighbours, among_themselves=True)
    around_samples, _ = nearest(x, x, precision_neighbours, among_themselves=True)
    closed, opened = (around_reference[:, k - 1] for k in (precision_neighbours, density_neighbours))
    of_samples = around_samples[:, -1:]
    num_precise = num_inside = 0
    recalled, covered = np.zeros(len(y), np.bool_), np.zeros(len(y), np.bool_)
    for rows, distances, errors in distance_blocks(x, y):
        for radii in (closed, opened, of_samples[rows]):
            settle(distances, radii, errors, x, rows.start, y)
        num_precise += int((distances <= closed).any(axis=1).sum())
        recalled |= (distances <= of_samples[rows]).any(axis=0)
        inside = distances < opened
        num_inside += int(inside.sum())
        covered |= inside.any(axis=0)
    return ManifoldScores(
        num_precise / len(x), float(recalled.mean()), num_inside / (density_neighbours * len(x)), float(covered.mean())
    )
