"""The scores of a set of pictures beside a reference: names, values, intervals, and what is to be said of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn.errors import BadInput
from ganrnn.metrics.images.feature_statistics import FeatureStatistics
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.images.frechet_limit import ROWS_PER_FEATURE, frechet_limit
from ganrnn.metrics.images.kid import kernel_distance
from ganrnn.metrics.images.memorisation import memorisation, near_duplicates
from ganrnn.metrics.images.precision_recall import manifold_scores
from ganrnn.metrics.statistics.intervals import wilson_interval
from pipelines.evaluate.images.block_result import Counts
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.set_statistics import IN_DOMAIN, SetScores

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


KID_SUBSETS = 100
KID_SUBSET_ROWS = 1_000
# Below so many samples a feature, the bias of a Fréchet distance is no small part of it: at 2,048 features that asks
# for the 10,000 that Heusel et al. 2017 give as the least.
FEWEST_ROWS_PER_FEATURE = 5
_SAME_PICTURES = 1e-6  # a share of the reference's own spread


@dataclass(frozen=True)
class PictureScores:
    """Metrics by name, 95 % intervals of those that have one, and marks: why a metric is not what its name says."""

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)


def scores_of(subject: SetScores, sets: Mapping[str, SetScores], protocol: Protocol) -> PictureScores:
    """All scores of one set against the others, which are `reference` and `training`.

    Raises BadInput where there are too few pictures for any score at all.
    """
    if subject.num_pictures < 2:
        raise BadInput(f"evaluate: {subject.num_pictures} picture cannot be scored as a set, at least 2 are needed")
    found = PictureScores()
    for extractor in subject.features:
        _add_features(found, extractor, subject, sets, protocol)
    _add_counts(found, subject.counts, protocol.num_candidates)
    if protocol.has_seam:
        found.metrics["seam_vs_interior"], *found.intervals["seam_vs_interior"] = subject.seam.ratio()
    return found


def group_scores(subject: SetScores, sets: Mapping[str, SetScores], protocol: Protocol) -> dict[str, dict[str, Any]]:
    """By group of the reference or the subject: the number of its pictures, and its scores against its own reference.

    A group that one of them does not have, or once only, has no distance.
    """
    references = sets["reference"].groups
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(subject.groups | references):
        own, reference = subject.groups.get(name), references.get(name)
        scores = PictureScores()
        if own and reference and min(own.moments.count, reference.moments.count) > 1:
            metric = f"fid{count_name(own.moments.count)}_{IN_DOMAIN}"
            scores.metrics[metric] = frechet_distance(own.moments, reference.moments)
        _add_counts(scores, own.counts if own else {}, protocol.num_candidates)
        num_pictures = own.moments.count if own else 0
        found[name] = {"num_pictures": num_pictures, "metrics": scores.metrics, "intervals": scores.intervals}
    return found


def _add_features(
    found: PictureScores, extractor: str, subject: SetScores, sets: Mapping[str, SetScores], protocol: Protocol
) -> None:
    own, reference = subject.features[extractor], sets["reference"].features[extractor]
    suffix = f"{count_name(own.moments.count)}_{extractor}"
    distance = frechet_distance(own.moments, reference.moments)
    rows = min(KID_SUBSET_ROWS, len(own.subset.features), len(reference.subset.features))
    kid = kernel_distance(own.subset.features, reference.subset.features, KID_SUBSETS, rows, protocol.seed)
    found.metrics[f"fid{suffix}"] = distance
    found.metrics[f"kid{suffix}"], found.metrics[f"kid{suffix}_std"] = kid
    if own.classes:
        found.metrics[f"is{suffix}"], found.metrics[f"is{suffix}_std"] = own.classes.score()
    features = own.subset.features
    others = {name: held.features[extractor] for name, held in sets.items()}
    further, intervals = feature_scores(features, others, f"{count_name(len(features))}_{extractor}", protocol.seed)
    found.metrics.update(further)
    found.intervals.update(intervals)
    fewest, num_features = min(own.moments.count, reference.moments.count), features.shape[1]
    if fewest < FEWEST_ROWS_PER_FEATURE * num_features:
        found.marks[f"fid{suffix}"] = (
            f"{fewest:,} pictures of {num_features:,} features: too large, by a bias that is no small part of it below "
            f"{FEWEST_ROWS_PER_FEATURE * num_features:,}; compare with as many pictures only"
        )
    if distance < _SAME_PICTURES * max(float(reference.moments.covariance().trace()), 1e-300):
        found.marks[f"fid{suffix}"] = "the pictures are those of the reference: nothing has been measured"


def _add_counts(found: PictureScores, counts: Counts, num_candidates: int) -> None:
    for name, (correct, total) in sorted(counts.items()):
        kind, _, attribute = name.partition("/")
        metric = f"{attribute}_accuracy" if kind == "attribute" else name
        if kind.startswith("retrieved"):
            metric = kind.replace("retrieved", f"r_precision_{num_candidates}")
        if total:  # no prompt of one's own need be a caption of the reference
            found.metrics[metric] = correct / total
            if name != "pixels_kept":  # those of one picture are no independent trials
                found.intervals[metric] = list(wilson_interval(correct, total))


def count_name(count: int) -> str:
    """2000 -> 2k, 951 -> 951, as metric names carry it."""
    return f"{count // 1000}k" if count % 1000 == 0 and count else str(count)
