"""How people rate a model: ratings.json, which `ganrnn rate --report` writes and `promote` reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval
from pipelines import storage

REPORT = "ratings.json"
PREFIX = "human_"
PREFERENCE = "human_preference"  # to the reference of the study; 0.5 is no preference


@dataclass(frozen=True)
class HumanScore:
    """How people judge the samples of a model, as ratings.json has it under `human`.

    metric:            human_error_generated (how often they are taken for real), human_preference (how often they are
                       preferred to the reference) or human_fit_generated (how often they fit their prompt)
    interval:          the wider of the intervals by answer and by rater
    reference_digest:  of what the samples were compared with; for a folder of samples, of its manifest
    protocol_digest:   equal for studies of the same kind against the same reference
    item_digests:      sha256 of the rated samples, as raters saw them
    """

    metric: str
    value: float
    interval: Interval
    num_answers: int
    num_raters: int
    model_digest: str | None
    reference_digest: str
    protocol_digest: str
    item_digests: list[str]


@dataclass(frozen=True)
class HumanScores:
    """All metrics of a study and the intervals of those that have one; `digest` is the sha256 of the file."""

    digest: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    main: HumanScore


def read_human_scores(folder_uri: str, model_digest: str) -> HumanScores:
    """The report of a study about samples of this model; BadInput where there is none, or it is about another."""
    uri = storage.join(folder_uri, REPORT)
    raw = storage.read_json(uri)
    try:
        human = HumanScore(**raw["human"])
        metrics = {name: float(value) for name, value in raw["metrics"].items()}
        intervals = wider(raw["intervals"], raw["intervals_by_rater"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{uri} is no report of `ganrnn rate --report` ({error!r})") from error
    if human.model_digest != model_digest:
        raise BadInput(
            f"{uri}: raters judged model {str(human.model_digest)[:12]}, this is {model_digest[:12]}; "
            "have samples of this model rated"
        )
    return HumanScores(storage.sha256(storage.read_bytes(uri)), metrics, intervals, human)


def wider(*intervals: Mapping[str, Interval]) -> dict[str, Interval]:
    """By metric, the smallest interval that contains all given ones."""
    names = {name for by_metric in intervals for name in by_metric}
    bounds = {name: [by_metric[name] for by_metric in intervals if name in by_metric] for name in sorted(names)}
    return {name: (min(low for low, _ in both), max(high for _, high in both)) for name, both in bounds.items()}
