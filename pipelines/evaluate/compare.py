"""Two evaluations beside each other: what of their difference is more than chance, and whether they may be compared.

Scores are comparable where everything but the model is the same: data set, extractor, prompts, counts, seed, who chose,
who judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import Interval, difference_interval
from pipelines import storage
from pipelines.evaluate.publish import REPORT
from pipelines.report.metric_descriptions import sense
from pipelines.report.scores import scores

# Of report.json -> what it is called.
_SAME = {
    ("dataset_digest",): "the data set",
    ("digests", "prompts_digest"): "the prompts",
    ("digests", "choice"): "a judge's choice of samples",
    ("digests", "judge_digest"): "the judge that counts",
    ("counts",): "the numbers of samples",
    ("seed",): "the seeds",
}


@dataclass(frozen=True)
class Line:
    """A metric of two evaluations; `better` is A or B, even where it may be chance, empty where nobody can say."""

    metric: str
    a: float
    b: float
    interval: Interval | None
    better: str


def compare(uri_a: str, uri_b: str) -> list[Line]:
    """The metrics of two report folders, a line each.

    Raises BadInput where one is missing, or they differ in anything but the model.
    """
    a, b = (storage.read_json(storage.join(uri, REPORT)) for uri in (uri_a, uri_b))
    for path, what in (_SAME | _of_extractors(a, b)).items():
        if (in_a := _at(a, path)) != (in_b := _at(b, path)):
            raise BadInput(
                f"{uri_a} and {uri_b} cannot be compared: they differ in {what}, {_short(in_a)} in the first "
                f"and {_short(in_b)} in the second; evaluate both alike"
            )
    return [_line(score.name, a, b) for score in scores(a) if score.name in b["metrics"]]


def _of_extractors(*reports: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Where the extractors of reports stand, then the digest of all that a protocol is, which says least."""
    names = sorted({name for report in reports for name in report.get("extractors", {})})
    found: dict[tuple[str, ...], str] = {}
    for name in names:
        found |= {("extractors", name, key): f"the {key} of the extractor {name}" for key in ("digest", "resizer")}
    return found | {("protocol_digest",): "the protocol"}


def _at(report: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = report
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _short(value: Any) -> str:
    return f"{value:.60}" if isinstance(value, str) else "none" if value is None else str(value)


def _line(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Line:
    value_a, value_b = (held["metrics"][name] for held in (a, b))
    interval_a, interval_b = (held["intervals"].get(name) for held in (a, b))
    interval, better = None, ""
    if interval_a and interval_b:
        interval = difference_interval(value_a, interval_a, value_b, interval_b)
        sign = {"higher is better": 1, "lower is better": -1}.get(sense(name).better, 0)
        low, high = sorted(sign * bound for bound in interval)
        better = "A" if low > 0 else "B" if high < 0 else "even" if sign else ""
    return Line(name, value_a, value_b, interval, better)
