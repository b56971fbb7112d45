"""Champion or challenger: thresholds, then the comparison with the champion."""

import json
from dataclasses import dataclass
from typing import Literal

from ganrnn.metrics.statistics.intervals import difference_interval
from pipelines.config.promote import PromoteConfig
from pipelines.formats.ratings import PREFERENCE, PREFIX, HumanScores
from pipelines.promote.scored_report import Report
from pipelines.tracking.registry import RegisteredVersion
from pipelines.tracking.tags import DATASET, INTERVAL, METRIC, PROTOCOL, RATINGS_PROTOCOL, SAMPLES_MANIFEST

_EVEN = 0.5  # the preference of those who have none


@dataclass(frozen=True)
class Decision:
    """Which version got which alias, and why."""

    version: str
    alias: Literal["champion", "challenger"]
    reasons: list[str]


def failed_thresholds(config: PromoteConfig, report: Report) -> list[str]:
    """One sentence for each threshold that does not hold."""
    failures = []
    for metric, bound in config.at_least.items():
        if (value := report.value(metric, "promote.at_least")) < bound:
            failures.append(f"{metric} is {value:.6g}, promote.at_least asks for {bound:.6g}")
    for metric, bound in config.at_most.items():
        if (value := report.value(metric, "promote.at_most")) > bound:
            failures.append(f"{metric} is {value:.6g}, promote.at_most asks for {bound:.6g}")
    return failures


def compare(
    config: PromoteConfig, report: Report, champion: RegisteredVersion | None, version: RegisteredVersion | None
) -> tuple[bool, str]:
    """Whether the model beats the champion, and the sentence that says so; scores of unlike origin are not compared."""
    metric = config.champion_metric
    if champion is None:
        return True, "there was no champion"
    if version is not None and version.version == champion.version:
        return True, f"version {champion.version} is the champion already"
    dataset = champion.tags.get(DATASET, "unknown")
    if dataset != report.dataset_digest:
        return False, (
            f"champion version {champion.version} was scored on data set {dataset[:12]}, this model on "
            f"{report.dataset_digest[:12]}; evaluate both on the same one"
        )
    if champion.tags.get(PROTOCOL) != report.protocol_digest:
        return False, (
            f"champion version {champion.version} was scored under another protocol (extractor, prompts, counts or "
            "seed); evaluate both under the same one"
        )
    if metric == PREFERENCE and report.people:
        return preferred(report, report.people, champion)
    if (
        metric.startswith(PREFIX)
        and report.people
        and champion.tags.get(RATINGS_PROTOCOL) != report.people.main.protocol_digest
    ):
        return False, (
            f"champion version {champion.version} was rated in another study (task, reference, exposure or numbers); "
            "have both rated alike"
        )
    held = champion.tags.get(METRIC + metric)
    if held is None:
        return False, f"champion version {champion.version} has no metric {metric}; evaluate it with this one"
    value, best = report.metrics[metric], float(held)
    own, its = report.intervals.get(metric), champion.tags.get(INTERVAL + metric)
    low = high = value - best
    if own and its:
        low, high = difference_interval(value, own, best, json.loads(its))
    won = low > 0 if config.higher_is_better else high < 0
    verb = "beats" if won else "does not beat"
    between = f" (difference {low:.3g} to {high:.3g} in 95 %)" if low < high else ""
    return won, f"{metric} {value:.6g} {verb} {best:.6g} of champion version {champion.version}{between}"


def preferred(report: Report, people: HumanScores, champion: RegisteredVersion) -> tuple[bool, str]:
    """Whether people prefer the model's samples to the champion's, by more than chance."""
    if champion.tags.get(SAMPLES_MANIFEST) != people.main.reference_digest:
        return False, (
            f"raters compared the model with other samples than those of champion version {champion.version}; "
            "give `ganrnn rate` the champion's samples as the reference"
        )
    value, (low, high) = report.metrics[PREFERENCE], people.intervals[PREFERENCE]
    won = low > _EVEN
    verb = "prefer it to" if won else "do not prefer it to"
    return won, f"raters {verb} champion version {champion.version}: {value:.3g} ({low:.3g} to {high:.3g} in 95 %)"
