"""The scores of a set of images against a reference: names, values, intervals, and marks where a score misleads."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from ganrnn.data.scenes import FACTOR_COLUMNS
from ganrnn.errors import BadInput
from ganrnn.metrics.images.conditional_diversity import ConditionSubset, Ratio, conditional_scores, spreads
from ganrnn.metrics.images.feature_statistics import FeatureStatistics
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.images.frechet_limit import ROWS_PER_FEATURE, frechet_limit
from ganrnn.metrics.images.kid import kernel_distance
from ganrnn.metrics.images.memorisation import memorisation, near_duplicates
from ganrnn.metrics.images.precision_recall import manifold_scores
from ganrnn.metrics.statistics.intervals import Interval, wilson_interval
from pipelines.evaluate.images.block_result import Counts
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.set_statistics import FACTORS, IN_DOMAIN, SetStatistics
from pipelines.formats.evaluation_report import GroupScores

LEAST_ROWS = 6  # of the fifth neighbour and the row itself


Features = NDArray[np.float64]


def feature_scores(
    samples: Features, sets: Mapping[str, FeatureStatistics], suffix: str, seed: int
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Scores by name, each ending in `suffix`, and 95 % intervals of those that have one.

    A score that needs more rows is left out.

    samples:   [N, D]
    sets:      `training` and `reference`, which no model has seen
    """
    reference, training = (sets[name].subset.features for name in ("reference", "training"))
    metrics, intervals = dict[str, float](), dict[str, Interval]()
    if min(map(len, (samples, reference, training))) < LEAST_ROWS:
        return metrics, intervals
    manifold = manifold_scores(samples, reference)
    metrics |= {f"{name}{suffix}": value for name, value in asdict(manifold).items()}
    metrics[f"near_duplicates{suffix}"] = near_duplicates(samples[: len(reference)], reference).share
    copied = memorisation(samples, training, reference).share_copied
    metrics[f"copied{suffix}"] = copied
    intervals[f"copied{suffix}"] = wilson_interval(round(copied * len(samples)), len(samples))
    is_one = bool((samples == samples[0]).all())  # a distance that no further samples would change
    if len(samples) >= 2 * ROWS_PER_FEATURE * samples.shape[1] and not is_one:
        limit = frechet_limit(samples, sets["reference"].moments, seed)
        metrics[f"fid_limit{suffix}"], intervals[f"fid_limit{suffix}"] = limit.value, (limit.low, limit.high)
    return metrics, intervals


KID_SUBSETS = 100
KID_SUBSET_ROWS = 1_000
# Below so many samples a feature, the bias of a Fréchet distance is no small part of it: at 2,048 features that asks
# for the 10,000 that Heusel et al. 2017 give as the least.
FEWEST_ROWS_PER_FEATURE = 5
_SAME_PICTURES = 1e-6  # relative to the spread of the reference


@dataclass(frozen=True)
class PictureScores:
    """Metrics by name, 95 % intervals of those that have one, and marks: why a metric is not what its name says."""

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)


def scores_of(subject: SetStatistics, sets: Mapping[str, SetStatistics], protocol: Protocol) -> PictureScores:
    """All scores of a set against the sets `reference` and `training`.

    Raises BadInput if there are too few images for any score.
    """
    if subject.num_pictures < 2:
        raise BadInput(f"evaluate: {subject.num_pictures} picture cannot be scored as a set, at least 2 are needed")
    scores = PictureScores()
    for extractor in subject.features:
        _add_features(scores, extractor, subject, sets, protocol)
    for compared, subset in subject.conditions.items():
        _add_conditional(scores, compared, subset, sets["reference"].conditions.get(compared), protocol.seed)
    _add_counts(scores, subject.counts, protocol.num_candidates)
    if protocol.has_seam:
        ratio, low, high = subject.seam.ratio()
        scores.metrics["seam_vs_interior"], scores.intervals["seam_vs_interior"] = ratio, (low, high)
    return scores


def group_scores(
    subject: SetStatistics, sets: Mapping[str, SetStatistics], protocol: Protocol
) -> dict[str, GroupScores]:
    """The scores of each group of the subject or the reference against the reference images of that group.

    A group with fewer than two images in either has no distance.
    """
    references = sets["reference"].groups
    by_group: dict[str, GroupScores] = {}
    for name in sorted(subject.groups | references):
        group, reference = subject.groups.get(name), references.get(name)
        scores = PictureScores()
        if group and reference and min(group.moments.count, reference.moments.count) > 1:
            metric = f"fid{count_name(group.moments.count)}_{IN_DOMAIN}"
            scores.metrics[metric] = frechet_distance(group.moments, reference.moments)
        _add_counts(scores, group.counts if group else {}, protocol.num_candidates)
        by_group[name] = GroupScores(group.moments.count if group else 0, scores.metrics, scores.intervals)
    return by_group


def _add_features(
    scores: PictureScores, extractor: str, subject: SetStatistics, sets: Mapping[str, SetStatistics], protocol: Protocol
) -> None:
    statistics, reference = subject.features[extractor], sets["reference"].features[extractor]
    suffix = f"{count_name(statistics.moments.count)}_{extractor}"
    distance = frechet_distance(statistics.moments, reference.moments)
    rows = min(KID_SUBSET_ROWS, len(statistics.subset.features), len(reference.subset.features))
    kid = kernel_distance(statistics.subset.features, reference.subset.features, KID_SUBSETS, rows, protocol.seed)
    scores.metrics[f"fid{suffix}"] = distance
    scores.metrics[f"kid{suffix}"], scores.metrics[f"kid{suffix}_std"] = kid
    if statistics.classes and (num_empty := statistics.classes.num_empty):
        scores.marks[f"is{suffix}"] = (
            f"left out: evaluate.num_splits is {protocol.num_splits}, and {statistics.moments.count:,} pictures leave "
            f"{num_empty} empty; take fewer"
        )
    elif statistics.classes:
        scores.metrics[f"is{suffix}"], scores.metrics[f"is{suffix}_std"] = statistics.classes.score()
    features = statistics.subset.features
    others = {name: other.features[extractor] for name, other in sets.items()}
    further, intervals = feature_scores(features, others, f"{count_name(len(features))}_{extractor}", protocol.seed)
    scores.metrics.update(further)
    scores.intervals.update(intervals)
    fewest, num_features = min(statistics.moments.count, reference.moments.count), features.shape[1]
    if fewest < FEWEST_ROWS_PER_FEATURE * num_features:
        scores.marks[f"fid{suffix}"] = (
            f"{fewest:,} pictures of {num_features:,} features: too large, by a considerable bias below "
            f"{FEWEST_ROWS_PER_FEATURE * num_features:,}; compare with equally many pictures only"
        )
    if distance < _SAME_PICTURES * max(float(reference.moments.covariance().trace()), 1e-300):
        scores.marks[f"fid{suffix}"] = "the pictures are those of the reference: nothing has been measured"


def _add_conditional(
    scores: PictureScores, compared: str, subset: ConditionSubset, reference: ConditionSubset | None, seed: int
) -> None:
    ratios = dict[str, Ratio]()
    if reference and compared == FACTORS:
        spread_of = spreads(subset, reference, FACTOR_COLUMNS, seed)
        ratios = {f"spread_{factor}": ratio for factor, ratio in spread_of.items()}
    elif reference and (conditional := conditional_scores(subset, reference, seed)):
        ratios[f"diversity_given_prompt_{compared}"] = conditional.diversity
        ratios[f"coverage_given_prompt_{compared}"] = conditional.coverage
    for metric, ratio in ratios.items():
        scores.metrics[metric], scores.intervals[metric] = ratio.value, ratio.interval


def _add_counts(scores: PictureScores, counts: Counts, num_candidates: int) -> None:
    for name, (correct, total) in sorted(counts.items()):
        kind, _, attribute = name.partition("/")
        metric = f"{attribute}_accuracy" if kind == "attribute" else name
        if kind.startswith("retrieved"):
            metric = kind.replace("retrieved", f"r_precision_{num_candidates}")
        if total:  # a prompt need not be a caption of the reference
            scores.metrics[metric] = correct / total
            if name != "pixels_kept":  # the pixels of one image are not independent trials
                scores.intervals[metric] = wilson_interval(correct, total)


def count_name(count: int) -> str:
    """2000 -> 2k, 951 -> 951, as metric names carry it."""
    return f"{count // 1000}k" if count % 1000 == 0 and count else str(count)
