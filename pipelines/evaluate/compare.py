"""Two evaluations side by side: how much of a difference is more than chance, and whether they may be compared.

Scores are comparable where everything but the model is the same: data set, extractor, prompts, counts, seed, the judge
that chose and the judge that counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval, difference_interval
from pipelines import storage
from pipelines.formats.evaluation_report import REPORT, EvaluationReport, read
from pipelines.formats.likelihood import why_unlike
from pipelines.formats.metric_descriptions import description_of
from pipelines.report.scores import scores

_SIGNS = {"higher is better": 1, "lower is better": -1}


@dataclass(frozen=True)
class MetricComparison:
    """A metric of two evaluations; `better` is A or B, even if chance explains it, empty if the metric has no sign.

    why_unlike:  why this metric cannot be compared, though others can
    """

    metric: str
    a: float
    b: float
    interval: Interval | None
    better: str
    why_unlike: str = ""


def compare(uri_a: str, uri_b: str) -> list[MetricComparison]:
    """The metrics that both report folders have.

    Raises BadInput where one is missing, or they differ in anything but the model.
    """
    a, b = (read(storage.join(uri, REPORT)) for uri in (uri_a, uri_b))
    for what, in_a, in_b in _conditions(a, b):
        if in_a != in_b:
            raise BadInput(
                f"{uri_a} and {uri_b} cannot be compared: they differ in {what}, {_short(in_a)} in the first "
                f"and {_short(in_b)} in the second; evaluate both alike"
            )
    return [_compared(score.name, a, b) for score in scores(a) if score.name in b.metrics]


def _conditions(a: EvaluationReport, b: EvaluationReport) -> Iterator[tuple[str, object, object]]:
    """What has to be equal, by name; last the digest of the whole protocol, which tells the reader least."""
    yield "the data set", a.dataset_digest, b.dataset_digest
    for key, what in (
        ("prompts_digest", "the prompts"),
        ("choice", "a judge's choice of samples"),
        ("truncation", "the truncation of the noise"),
        ("judge_digest", "the judge that counts"),
    ):
        yield what, a.digests.get(key), b.digests.get(key)
    yield "the numbers of samples", a.counts, b.counts
    yield "the seeds", a.seed, b.seed
    extractors_a, extractors_b = a.extractors or {}, b.extractors or {}
    for name in sorted({*extractors_a, *extractors_b}):
        for key in ("digest", "resizer"):
            in_a, in_b = (extractors.get(name, {}).get(key) for extractors in (extractors_a, extractors_b))
            yield f"the {key} of the extractor {name}", in_a, in_b
    yield "the protocol", a.protocol_digest, b.protocol_digest


def _short(value: object) -> str:
    return f"{value:.60}" if isinstance(value, str) else "none" if value is None else str(value)


def _compared(name: str, a: EvaluationReport, b: EvaluationReport) -> MetricComparison:
    if reason := why_unlike(name, a.likelihood, b.likelihood):
        return MetricComparison(name, a.metrics[name], b.metrics[name], None, "", reason)
    interval_a, interval_b = (report.intervals.get(name) for report in (a, b))
    interval, better = None, ""
    if interval_a and interval_b:
        interval = difference_interval(a.metrics[name], interval_a, b.metrics[name], interval_b)
        sign = _SIGNS.get(description_of(name).better, 0)
        low, high = sorted(sign * bound for bound in interval)
        better = "A" if low > 0 else "B" if high < 0 else "even" if sign else ""
    return MetricComparison(name, a.metrics[name], b.metrics[name], interval, better)
