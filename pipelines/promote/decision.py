"""Champion or challenger: thresholds, then the comparison with the champion."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from ganrnn.metrics.statistics.intervals import difference_interval
from pipelines.config.promote import PromoteConfig
from pipelines.formats.likelihood import LikelihoodProtocol, why_unlike
from pipelines.formats.metric_descriptions import default_champion_metric, is_higher_better
from pipelines.formats.ratings import PREFERENCE, PREFIX, HumanScores
from pipelines.promote.scored_report import ScoredReport
from pipelines.tracking.registry import RegisteredVersion
from pipelines.tracking.tags import DATASET, INTERVAL, LIKELIHOOD, METRIC, PROTOCOL, RATINGS_PROTOCOL, SAMPLES_MANIFEST

_EVEN = 0.5  # the preference of those who have none


@dataclass(frozen=True)
class Decision:
    """Which version got which alias, and why."""

    version: str
    alias: Literal["champion", "challenger"]
    reasons: list[str]


def with_champion_metric(config: PromoteConfig, metrics: Iterable[str]) -> PromoteConfig:
    """A copy that says by which metric models are compared, and whether more of it is better."""
    metric = config.champion_metric or default_champion_metric(metrics)
    better = config.higher_is_better
    return replace(
        config, champion_metric=metric, higher_is_better=is_higher_better(metric) if better is None else better
    )


def failed_thresholds(config: PromoteConfig, report: ScoredReport) -> list[str]:
    """One sentence for each threshold that does not hold."""
    failures = []
    for metric, bound in config.at_least.items():
        if (value := report.value(metric, "promote.at_least")) < bound:
            failures.append(f"{metric} is {value:.6g}, promote.at_least asks for {bound:.6g}")
    for metric, bound in config.at_most.items():
        if (value := report.value(metric, "promote.at_most")) > bound:
            failures.append(f"{metric} is {value:.6g}, promote.at_most asks for {bound:.6g}")
    return failures


@dataclass(frozen=True)
class Difference:
    """A metric of the model and of the champion, and the 95 % interval of their difference.

    low, high:  equal to the difference itself where one of them has no interval
    """

    value: float
    champion_value: float
    low: float
    high: float

    def is_won(self, higher_is_better: bool) -> bool:
        """Whether the model is better, by more than chance where there are intervals."""
        return self.low > 0 if higher_is_better else self.high < 0


def compare(
    config: PromoteConfig, report: ScoredReport, champion: RegisteredVersion | None, version: RegisteredVersion | None
) -> tuple[bool, str]:
    """Whether the model beats the champion, and one sentence that says so; `version` is the model's, if it has one."""
    if champion is None:
        return True, "there was no champion"
    if version is not None and version.version == champion.version:
        return True, f"version {champion.version} is the champion already"
    metric = config.champion_metric
    reason = why_incomparable(metric, report, champion)
    if reason:
        return False, f"champion version {champion.version} {reason}"
    if metric == PREFERENCE and report.people:
        return preferred(report, report.people, champion)
    difference = difference_of(metric, report, champion)
    assert config.higher_is_better is not None  # the driver has filled it in
    is_won = difference.is_won(config.higher_is_better)
    return is_won, _sentence(metric, difference, is_won, champion.version)


def why_incomparable(metric: str, report: ScoredReport, champion: RegisteredVersion) -> str:
    """What the champion's score lacks to be compared, as the end of a sentence; empty where it lacks nothing."""
    evaluation = report.evaluation
    dataset = champion.tags.get(DATASET, "unknown")
    if dataset != evaluation.dataset_digest:
        return (
            f"was scored on data set {dataset[:12]}, this model on {evaluation.dataset_digest[:12]}; "
            "evaluate both on the same one"
        )
    if champion.tags.get(PROTOCOL) != evaluation.protocol_digest:
        return (
            "was scored under another protocol (extractor, prompts, counts or seed); evaluate both under the same one"
        )
    if metric == PREFERENCE and report.people:  # compares with the champion itself
        return ""
    study = report.people.main.protocol_digest if report.people and metric.startswith(PREFIX) else None
    if study and champion.tags.get(RATINGS_PROTOCOL) != study:
        return "was rated in another study (task, reference, exposure or numbers); have both rated alike"
    if METRIC + metric not in champion.tags:
        return f"has no metric {metric}; evaluate it with this one"
    written = champion.tags.get(LIKELIHOOD)
    likelihood = LikelihoodProtocol.from_json(json.loads(written)) if written else None
    if reason := why_unlike(metric, evaluation.likelihood, likelihood):
        return f"cannot be compared by {metric}: {reason}"
    return ""


def difference_of(metric: str, report: ScoredReport, champion: RegisteredVersion) -> Difference:
    """The model's metric minus the champion's."""
    value, champion_value = report.metrics[metric], float(champion.tags[METRIC + metric])
    low = high = value - champion_value
    interval, champion_interval = report.intervals.get(metric), champion.tags.get(INTERVAL + metric)
    if interval and champion_interval:
        low, high = difference_interval(value, interval, champion_value, json.loads(champion_interval))
    return Difference(value, champion_value, low, high)


def _sentence(metric: str, difference: Difference, is_won: bool, champion_version: str) -> str:
    verb = "beats" if is_won else "does not beat"
    low, high = difference.low, difference.high
    interval = f" (difference {low:.3g} to {high:.3g} in 95 %)" if low < high else ""
    return (
        f"{metric} {difference.value:.6g} {verb} {difference.champion_value:.6g} "
        f"of champion version {champion_version}{interval}"
    )


def preferred(report: ScoredReport, people: HumanScores, champion: RegisteredVersion) -> tuple[bool, str]:
    """Whether people prefer the model's samples to the champion's, by more than chance."""
    if champion.tags.get(SAMPLES_MANIFEST) != people.main.reference_digest:
        return False, (
            f"raters compared the model with other samples than those of champion version {champion.version}; "
            "give `ganrnn rate` the champion's samples as the reference"
        )
    value, (low, high) = report.metrics[PREFERENCE], people.intervals[PREFERENCE]
    is_won = low > _EVEN
    verb = "prefer it to" if is_won else "do not prefer it to"
    return is_won, f"raters {verb} champion version {champion.version}: {value:.3g} ({low:.3g} to {high:.3g} in 95 %)"
