"""What promotion reads of an evaluation, and of people's ratings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval
from pipelines import storage
from pipelines.formats.ratings import PREFIX, HumanScores


@dataclass(frozen=True)
class Report:
    """What promotion needs of an evaluation's report; `digest` is the sha256 of its bytes."""

    uri: str
    digest: str
    intervals: Mapping[str, Interval]  # 95 %, of the metrics that have one
    metrics: Mapping[str, float]
    model_digest: str
    dataset_digest: str
    protocol_digest: str
    samples_manifest_digest: str | None
    people: HumanScores | None = None

    def value(self, metric: str, place: str) -> float:
        """A metric; BadInput where there is no such number."""
        if metric not in self.metrics:
            people = "promote.ratings_uri has to name a study of it; " if metric.startswith(PREFIX) else ""
            raise BadInput(
                f"{place}: {self.uri} has no metric {metric!r}; {people}it has {', '.join(sorted(self.metrics))}"
            )
        return self.metrics[metric]


def read_report(uri: str) -> Report:
    """The checked report of an evaluation."""
    data = storage.read_bytes(uri)
    raw = storage.read_json(uri)
    names = ("metrics", "model_digest", "dataset_digest", "protocol_digest", "samples_manifest_digest")
    missing = [key for key in names if not isinstance(raw, dict) or key not in raw]
    if missing:
        raise BadInput(f"{uri} has no {missing[0]!r}; a report of evaluate holds {', '.join(names)}")
    for metric, value in raw["metrics"].items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"{uri}: metrics.{metric} is {value!r}; allowed are finite numbers")
    return Report(uri, storage.sha256(data), raw.get("intervals", {}), *(raw[key] for key in names))


def with_people(report: Report, people: HumanScores) -> Report:
    """The report with what people said beside what was measured."""
    metrics, intervals = {**report.metrics, **people.metrics}, {**report.intervals, **people.intervals}
    return replace(report, metrics=metrics, intervals=intervals, people=people)
