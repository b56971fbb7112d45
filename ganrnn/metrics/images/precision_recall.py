"""Fidelity and diversity of samples by neighbourhoods in feature space: precision, recall, density, coverage.

Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models"; Naeem et al. 2020,
"Reliable Fidelity and Diversity Metrics for Generative Models"; Salvy et al. 2025, "Enhanced Generative Model
Evaluation with Clipped Density and Coverage" (arXiv 2507.01761). The radius of the ball around a picture is the
distance to its k-th nearest neighbour in the same set. Precision, recall, density and coverage depend on the numbers of
pictures: compare equal counts. The clipped scores are calibrated: with a share of good samples among samples far from
everything real, they are about that share.
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import comb
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

    precision:         share of the samples that lie in a ball of the reference
    recall:            share of the reference that lies in a ball of the samples
    density:           number of balls of the reference that a sample lies in, on average, over the number of neighbours
    coverage:          share of the balls of the reference that contain a sample
    clipped_density:   the same as density, with balls no larger than half of them are and no sample counted as more
                       than 1, relative to what pictures of the reference have among themselves; at most 1
    clipped_coverage:  share of good samples that would fill the balls of the reference as far as these samples do; a
                       ball is full with as many samples as it has neighbours
    """

    precision: float
    recall: float
    density: float
    coverage: float
    clipped_density: float
    clipped_coverage: float


def manifold_scores(
    samples: NDArray[Any], reference: NDArray[Any], precision_neighbours: int = 3, density_neighbours: int = 5
) -> ManifoldScores:
    """All six scores of samples against a reference.

    samples:               [N, D] features of any real dtype
    reference:             [M, D]
    precision_neighbours:  k of precision and recall, as in the paper; balls are closed
    density_neighbours:    k of density and coverage, as in the papers; balls are open, so that a copy of the reference
                           has a density of 1, and closed for clipped density

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
    clipped = np.minimum(opened, np.quantile(opened, 0.5, method="lower"))
    of_samples = around_samples[:, -1:]
    num_precise = num_inside = num_clipped = 0
    recalled, in_ball = np.zeros(len(y), np.bool_), np.zeros(len(y), np.int64)
    for rows, distances, errors in distance_blocks(x, y):
        for radii in (closed, opened, clipped, of_samples[rows]):
            settle(distances, radii, errors, x, rows.start, y)
        num_precise += int((distances <= closed).any(axis=1).sum())
        recalled |= (distances <= of_samples[rows]).any(axis=0)
        inside = distances < opened
        num_inside += int(inside.sum())
        in_ball += inside.sum(axis=0)
        num_clipped += int(np.minimum((distances <= clipped).sum(axis=1), density_neighbours).sum())
    real_density = _density_among_themselves(y, clipped, density_neighbours)
    filled = int(np.minimum(in_ball, density_neighbours).sum()) / (density_neighbours * len(y))
    return ManifoldScores(
        precision=num_precise / len(x),
        recall=float(recalled.mean()),
        density=num_inside / (density_neighbours * len(x)),
        coverage=float((in_ball > 0).mean()),
        clipped_density=min(num_clipped / (density_neighbours * len(x)) / real_density, 1.0),
        clipped_coverage=share_of_good(filled, len(x), len(y), density_neighbours),
    )


def _density_among_themselves(y: NDArray[np.float64], radii: NDArray[np.float64], num_neighbours: int) -> float:
    """Clipped density of the reference [M, D], each picture in the balls around the others, of squared radii [M]."""
    num_balls = 0
    for rows, distances, errors in distance_blocks(y, y):
        settle(distances, radii, errors, y, rows.start, y)
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
        num_balls += int(np.minimum((distances <= radii).sum(axis=1), num_neighbours).sum())
    return num_balls / (num_neighbours * len(y))


def share_of_good(filled: float, num_samples: int, num_reference: int, num_neighbours: int) -> float:
    """The share of samples from the reference's own distribution, none of the others in a ball, with which balls are
    expected to be as full as `filled`: 0 empty, 1 all full; between whole numbers of samples a straight line.
    """

    def expected(num_good: int) -> float:
        return _expected_fill(num_good, num_reference, num_neighbours)

    above = bisect_left(range(num_samples + 1), filled, key=expected)
    if above in (0, num_samples + 1):
        return float(above > 0)
    low, high = expected(above - 1), expected(above)
    return (above - 1 + (filled - low) / (high - low)) / num_samples


def _expected_fill(num_good: int, num_reference: int, num_neighbours: int) -> float:
    """How full the ball of a reference picture is on average.

    Neighbours and good samples stand around the picture in an order of distances that is as likely as any other. Of the
    samples at least t are nearer than neighbour k if at least t of them are among the nearest k + t - 1 of both.
    """
    num_others, k = num_reference - 1, num_neighbours
    total = 0.0
    for t in range(1, min(k, num_good) + 1):
        drawn = k + t - 1
        ways = sum(comb(num_good, s) * comb(num_others, drawn - s) for s in range(t, min(drawn, num_good) + 1))
        total += ways / comb(num_others + num_good, drawn)
    return total / k
