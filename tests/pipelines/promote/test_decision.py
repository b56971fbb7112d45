"""Champion or challenger as functions of reports and tags, without MLflow."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval
from pipelines import storage
from pipelines.config.promote import PromoteConfig
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.likelihood import LikelihoodProtocol
from pipelines.formats.ratings import PREFERENCE, HumanScore, HumanScores
from pipelines.promote.decision import compare, failed_thresholds, with_champion_metric
from pipelines.promote.scored_report import ScoredReport, read_report, with_people
from pipelines.tracking.registry import RegisteredVersion
from tests.pipelines.promote.attempts import METRICS, THRESHOLDS

METRIC, SHARE = "r_precision_100", "human_error_generated"


def report(metrics: dict[str, float], intervals: dict[str, Interval] | None = None, **changes: Any) -> ScoredReport:
    scores = EvaluationReport(metrics, "m" * 64, "d" * 64, "p" * 64, "5" * 64, intervals=intervals or {})
    return ScoredReport("report.json", "r" * 64, replace(scores, **changes))


def rated(value: float, half: float, metric: str = SHARE, **kind: Any) -> ScoredReport:
    """A report with a study that gives its metric an interval."""
    interval = (value - half, value + half)
    human = replace(HumanScore(metric, value, interval, 100, 10, "m" * 64, "e" * 64, "p" * 64, []), **kind)
    return with_people(report(METRICS), HumanScores("s" * 64, {metric: value}, {metric: interval}, human))


def champion(of: ScoredReport) -> RegisteredVersion:
    """Version 4, with the tags that `promote` gives a version of a report (see test_promote.py)."""
    tags = {
        "ganrnn.dataset_digest": of.evaluation.dataset_digest,
        "ganrnn.protocol_digest": of.evaluation.protocol_digest,
        "ganrnn.samples_manifest_digest": of.evaluation.samples_manifest_digest or "none",
        "ganrnn.ratings_protocol": of.people.main.protocol_digest if of.people else "none",
        **({"ganrnn.likelihood": json.dumps(asdict(likelihood))} if (likelihood := of.evaluation.likelihood) else {}),
        **{f"ganrnn.metric.{name}": str(value) for name, value in of.metrics.items()},
        **{f"ganrnn.interval.{name}": json.dumps(interval) for name, interval in of.intervals.items()},
    }
    return RegisteredVersion("4", "run", tags)


def outcome(challenger: ScoredReport, best: ScoredReport, **config: Any) -> tuple[bool, str]:
    return compare(replace(THRESHOLDS, **config), challenger, champion(best), None)


def test_without_a_champion_and_against_itself_it_wins() -> None:
    own = champion(report(METRICS))
    assert compare(THRESHOLDS, report(METRICS), None, None) == (True, "there was no champion")
    assert compare(THRESHOLDS, report(METRICS), own, own) == (True, "version 4 is the champion already")


@pytest.mark.parametrize(
    ("value", "higher_is_better", "won"),
    [(9.5, False, False), (8.5, False, True), (9.0, False, False), (9.5, True, True)],
)
def test_higher_or_lower_is_better(value: float, higher_is_better: bool, won: bool) -> None:
    settings = {"champion_metric": "fid2k_indomain", "higher_is_better": higher_is_better}
    verb = "beats" if won else "does not beat"
    assert outcome(report(METRICS | {"fid2k_indomain": value}), report(METRICS), **settings) == (
        won,
        f"fid2k_indomain {value:g} {verb} 9 of champion version 4",
    )


def test_a_difference_that_chance_may_have_made_does_not_win() -> None:
    best = report(METRICS | {METRIC: 0.60}, {METRIC: (0.578, 0.621)})
    won, reason = outcome(report(METRICS | {METRIC: 0.62}, {METRIC: (0.599, 0.641)}), best)
    assert not won
    assert reason == f"{METRIC} 0.62 does not beat 0.6 of champion version 4 (difference -0.0097 to 0.0504 in 95 %)"
    won, reason = outcome(report(METRICS | {METRIC: 0.64}, {METRIC: (0.619, 0.661)}), best)
    assert won and "beats 0.6 of champion version 4 (difference 0.0103 to " in reason


@pytest.mark.parametrize(
    ("best", "reason"),
    [
        (report({"colour": 0.1}), f"champion version 4 has no metric {METRIC}; evaluate it with this one"),
        (
            report({METRIC: 0.1}, dataset_digest="e" * 64),
            "champion version 4 was scored on data set eeeeeeeeeeee, this model on dddddddddddd; evaluate both",
        ),
        (report({METRIC: 0.1}, protocol_digest="q"), "champion version 4 was scored under another protocol"),
    ],
)
def test_scores_of_unlike_origin_are_not_compared(best: ScoredReport, reason: str) -> None:
    won, why = outcome(report(METRICS), best)
    assert not won and why.startswith(reason)


def test_a_model_of_fewer_words_does_not_win_per_token() -> None:
    few, many = (LikelihoodProtocol("nothing", name * 64, 64, 1_000, 5_000, 0.0, 0) for name in "fm")
    best = report({"perplexity_test": 9.0, "bits_per_character_test": 2.0}, likelihood=many)
    better = report({"perplexity_test": 3.0, "bits_per_character_test": 1.9}, likelihood=few)
    settings = {"champion_metric": "perplexity_test", "higher_is_better": False}
    assert outcome(better, best, **settings) == (
        False,
        "champion version 4 cannot be compared by perplexity_test: it is per token, and the vocabularies differ; "
        "bits_per_character_test is comparable",
    )
    assert outcome(better, best, **settings | {"champion_metric": "bits_per_character_test"})[0]
    assert outcome(report(better.metrics, likelihood=many), best, **settings)[0]


def test_studies_are_compared_by_their_intervals_if_they_are_of_one_kind() -> None:
    best = rated(0.30, 0.04)
    won, reason = outcome(rated(0.34, 0.04), best, champion_metric=SHARE)
    assert not won and f"{SHARE} 0.34 does not beat 0.3 of champion version 4 (difference -0.0166" in reason
    won, reason = outcome(rated(0.40, 0.04), best, champion_metric=SHARE)
    assert won and reason.startswith(f"{SHARE} 0.4 beats 0.3")
    for protocol in ("q", "r"):
        won, reason = outcome(rated(0.50, 0.04, protocol_digest=protocol), best, champion_metric=SHARE)
        assert not won and reason.startswith("champion version 4 was rated in another study (task, reference")


def test_a_preference_is_one_to_the_champion_or_none() -> None:
    best = report(METRICS)

    def preferred(value: float, reference: str) -> tuple[bool, str]:
        challenger = rated(value, 0.05, PREFERENCE, reference_digest=reference)
        return outcome(challenger, best, champion_metric=PREFERENCE)

    won, reason = preferred(0.9, "e" * 64)
    assert not won and reason.startswith(
        "raters compared the model with other samples than those of champion version 4"
    )
    assert preferred(0.54, "5" * 64) == (
        False,
        "raters do not prefer it to champion version 4: 0.54 (0.49 to 0.59 in 95 %)",
    )
    assert preferred(0.56, "5" * 64) == (True, "raters prefer it to champion version 4: 0.56 (0.51 to 0.61 in 95 %)")


def test_thresholds_that_do_not_hold_are_named() -> None:
    assert failed_thresholds(THRESHOLDS, report(METRICS)) == []
    assert failed_thresholds(THRESHOLDS, report(METRICS | {"colour": 0.94, "fid2k_indomain": 11.0})) == [
        "colour is 0.94, promote.at_least asks for 0.95",
        "fid2k_indomain is 11, promote.at_most asks for 10",
    ]
    assert failed_thresholds(PromoteConfig("", {SHARE: 0.35}), rated(0.30, 0.04)) == [
        f"{SHARE} is 0.3, promote.at_least asks for 0.35"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["metrics"].update(colour="high"), r"metrics.colour is 'high'; allowed are finite numbers"),
        (lambda raw: raw["metrics"].update(colour=float("inf")), "metrics.colour is inf; allowed are finite numbers"),
        (lambda raw: raw["metrics"].update(colour=True), "metrics.colour is True; allowed are finite numbers"),
        (lambda raw: raw.pop("model_digest"), r"report.json has no 'model_digest'; a report of evaluate holds metrics"),
    ],
)
def test_a_report_that_cannot_be_read_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    names = ("model_digest", "dataset_digest", "protocol_digest", "samples_manifest_digest")
    raw = {"metrics": dict(METRICS), **dict.fromkeys(names, "d")}
    change(raw)
    storage.commit_bytes(f"{tmp_path}/report.json", json.dumps(raw).encode())
    with pytest.raises(BadInput, match=message):
        read_report(f"{tmp_path}/report.json")


@pytest.mark.parametrize(
    ("names", "metric", "higher_is_better"),
    [
        ({"fid2k_indomain", "r_precision_7", "r_precision_7_by_judge"}, "r_precision_7", True),
        ({"fid2k_indomain", "fid2k_inception", "is2k_indomain"}, "fid2k_indomain", False),
        ({"loss_test", "bits_per_character_test", "bleu"}, "bits_per_character_test", False),
        ({"loss_test", "perplexity_test"}, "loss_test", False),
        ({"loss_test", "right", "right_on_true"}, "right", True),
    ],
)
def test_the_champion_metric_follows_the_report(names: set[str], metric: str, higher_is_better: bool) -> None:
    config = with_champion_metric(PromoteConfig(), names)
    assert (config.champion_metric, config.higher_is_better) == (metric, higher_is_better)
    asked = PromoteConfig(champion_metric="kid2k_indomain", higher_is_better=True)
    assert with_champion_metric(asked, names) == asked
