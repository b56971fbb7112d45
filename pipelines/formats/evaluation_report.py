"""What an evaluation says of a model: report.json, which evaluate writes, and promote, compare and the page read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval
from pipelines import storage
from pipelines.formats.likelihood import LikelihoodProtocol

REPORT = "report.json"

Metrics = Mapping[str, float]
Intervals = Mapping[str, Interval]  # 95 %: low, high
Facts = Mapping[str, str | int | float | Sequence[int]]
Reasons = Mapping[str, Sequence[str]]

_REQUIRED = ("metrics", "model_digest", "dataset_digest", "protocol_digest", "samples_manifest_digest")


@dataclass(frozen=True)
class GroupScores:
    """The scores of the images of one group."""

    num_pictures: int
    metrics: Metrics
    intervals: Intervals = field(default_factory=dict)


@dataclass(frozen=True)
class Groups:
    """Scores by the value of `by`: of the samples, and of the real images in their place."""

    by: str
    samples: Mapping[str, GroupScores]
    real: Mapping[str, GroupScores]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what a report has under `groups`."""
        samples, real = (
            {
                name: GroupScores(scores["num_pictures"], scores["metrics"], _intervals(scores.get("intervals", {})))
                for name, scores in content[key].items()
            }
            for key in ("samples", "real")
        )
        return cls(content["by"], samples, real)

    def to_json(self) -> dict[str, Any]:
        """What a report has under `groups`."""
        samples, real = (
            {name: {**vars(scores), "intervals": _lists(scores.intervals)} for name, scores in by_group.items()}
            for by_group in (self.samples, self.real)
        )
        return {"by": self.by, "samples": samples, "real": real}


@dataclass(frozen=True)
class SweepPoint:
    """The scores of a model's texts at one temperature."""

    temperature: float
    scores: Metrics

    def to_json(self) -> dict[str, float]:
        """Temperature and scores side by side."""
        return {"temperature": self.temperature, **self.scores}


@dataclass(frozen=True)
class SweepCurve:
    """A model at several temperatures."""

    model_digest: str
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True)
class Sweep:
    """Quality against diversity: a curve for each model by name, and the scores of as many real texts."""

    curves: Mapping[str, SweepCurve]
    real: Metrics
    signatures: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what a report has under `sweep`."""
        curves = {}
        for name, curve in content["curves"].items():
            points = (dict(point) for point in curve["points"])
            curves[name] = SweepCurve(
                curve["model_digest"], tuple(SweepPoint(point.pop("temperature"), point) for point in points)
            )
        return cls(curves, content["real"], content.get("signatures", {}))

    def to_json(self) -> dict[str, Any]:
        """What a report has under `sweep`."""
        curves = {
            name: {"model_digest": curve.model_digest, "points": [point.to_json() for point in curve.points]}
            for name, curve in self.curves.items()
        }
        return {"curves": curves, "real": self.real, "signatures": self.signatures}


@dataclass(frozen=True)
class Scored:
    """The part of a report that each output modality makes in its own way; fields as in `EvaluationReport`.

    judge_digest:  of the judge that counts, if there is one
    """

    metrics: Metrics
    intervals: Intervals
    floors: Metrics
    counts: Mapping[str, int]
    protocol_digest: str
    judge_digest: str | None = None
    marks: Mapping[str, str] | None = None
    does_not_separate: Reasons | None = None
    extractors: Mapping[str, Facts] | None = None
    groups: Groups | None = None
    signatures: Mapping[str, str] | None = None
    sweep: Sweep | None = None
    likelihood: LikelihoodProtocol | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """Scores of a model's samples, and all that they depend on.

    intervals:   of the metrics that have one
    floors:      the same metrics of real data in the place of samples
    counts:      how many samples of each set were scored
    digests:     of model, prompts, samples, data set; of the judges that chose or counted
    protocol_digest:  equal where scores of two models may be compared
    seed:        of evaluation and generation
    config:      the resolved recipe
    marks:       why a metric is not what its name says
    does_not_separate:  of images: metrics that good samples do not raise above bad ones, each with the reasons why
    extractors:  of images: by name, what a score of that name was computed with
    groups:      of images, with evaluate.group_by
    signatures:  of texts: how a score of another library was computed
    sweep:       of texts, with evaluate.sweep
    likelihood:  of texts: vocabulary, window and other things that the likelihood depends on
    """

    metrics: Metrics
    model_digest: str
    dataset_digest: str
    protocol_digest: str
    samples_manifest_digest: str | None
    name: str = ""
    intervals: Intervals = field(default_factory=dict)
    floors: Metrics = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str | None] = field(default_factory=dict)
    model_uri: str = ""
    seed: Mapping[str, int | None] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    code_revision: str = ""
    marks: Mapping[str, str] | None = None
    does_not_separate: Reasons | None = None
    extractors: Mapping[str, Facts] | None = None
    groups: Groups | None = None
    signatures: Mapping[str, str] | None = None
    sweep: Sweep | None = None
    likelihood: LikelihoodProtocol | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From the content of report.json, which holds at least the keys without a default."""
        values = dict(content)
        values["intervals"] = _intervals(content.get("intervals", {}))
        if "groups" in content:
            values["groups"] = Groups.from_json(content["groups"])
        if "sweep" in content:
            values["sweep"] = Sweep.from_json(content["sweep"])
        if "likelihood" in content:
            values["likelihood"] = LikelihoodProtocol.from_json(content["likelihood"])
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The content of report.json, without the parts that this evaluation does not have."""
        content = {name: value for name, value in vars(self).items() if value is not None or name in _REQUIRED}
        content["intervals"] = _lists(self.intervals)
        if self.groups:
            content["groups"] = self.groups.to_json()
        if self.sweep:
            content["sweep"] = self.sweep.to_json()
        if self.likelihood:
            content["likelihood"] = asdict(self.likelihood)
        return content


def _intervals(content: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    return {name: (low, high) for name, (low, high) in content.items()}


def _lists(intervals: Intervals) -> dict[str, list[float]]:
    """Intervals as JSON has them."""
    return {name: list(interval) for name, interval in intervals.items()}


def read(uri: str) -> EvaluationReport:
    """The report at a URI; BadInput where there is none, or it lacks what every report has."""
    content = storage.read_json(uri)
    missing = [key for key in _REQUIRED if not isinstance(content, dict) or key not in content]
    if missing:
        raise BadInput(f"{uri} has no {missing[0]!r}; a report of evaluate holds {', '.join(_REQUIRED)}")
    return EvaluationReport.from_json(content)
