"""What promotion reads: the report of an evaluation, and the ratings of people."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval
from pipelines import storage
from pipelines.formats import evaluation_report
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.ratings import PREFIX, HumanScores


@dataclass(frozen=True)
class ScoredReport:
    """The report of an evaluation, the sha256 of its bytes, and a study of the same model if there is one."""

    uri: str
    digest: str
    evaluation: EvaluationReport
    people: HumanScores | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Those that were measured, and those of people."""
        return {**self.evaluation.metrics, **(self.people.metrics if self.people else {})}

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """95 % intervals of the metrics that have one."""
        return {**self.evaluation.intervals, **(self.people.intervals if self.people else {})}

    @property
    def model_digest(self) -> str:
        """The model that was scored."""
        return self.evaluation.model_digest

    def value(self, metric: str, key: str) -> float:
        """A metric; BadInput, naming the key that asks for it, if there is none of this name."""
        metrics = self.metrics
        if metric not in metrics:
            people = "promote.ratings_uri has to name a study of it; " if metric.startswith(PREFIX) else ""
            raise BadInput(f"{key}: {self.uri} has no metric {metric!r}; {people}it has {', '.join(sorted(metrics))}")
        return metrics[metric]


def read_report(uri: str) -> ScoredReport:
    """The report of an evaluation; BadInput if it is incomplete or a metric is not a finite number."""
    report = evaluation_report.read(uri)
    for metric, value in report.metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"{uri}: metrics.{metric} is {value!r}; allowed are finite numbers")
    return ScoredReport(uri, storage.sha256(storage.read_bytes(uri)), report)


def with_people(report: ScoredReport, people: HumanScores) -> ScoredReport:
    """The report with what people said of the same model."""
    return replace(report, people=people)
