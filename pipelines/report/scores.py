"""The scores of a report as a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.metric_descriptions import DESCRIPTIONS, MetricDescription, description_of, kind_of


@dataclass(frozen=True)
class Score:
    """One line of the score table.

    floor, floor_name:  the score of real data in the place of samples, NaN and empty where there is none
    std, champion:      NaN where there is none
    """

    name: str
    description: MetricDescription
    value: float
    interval: tuple[float, float] | None
    std: float
    floor_name: str
    floor: float
    champion: float

    @property
    def spread(self) -> str:
        """The 95 % interval, or plus and minus one standard deviation, or nothing."""
        if self.interval:
            return "–".join(format_number(bound) for bound in self.interval)
        return "" if math.isnan(self.std) else f"± {format_number(self.std)}"


def scores(report: EvaluationReport, champion: Mapping[str, float] | None = None) -> list[Score]:
    """Every metric with its description, spread and floor, in the order of `DESCRIPTIONS`, then of the report."""
    metrics, floors = report.metrics, report.floors
    lines = []
    for name, value in metrics.items():
        if name.endswith("_std") and name.removesuffix("_std") in metrics:
            continue
        interval = report.intervals.get(name)
        floor_name = _floor_name(name, floors)
        lines.append(
            Score(
                name=name,
                description=description_of(name),
                value=value,
                interval=(float(interval[0]), float(interval[1])) if interval else None,
                std=metrics.get(f"{name}_std", math.nan),
                floor_name=floor_name,
                floor=floors.get(floor_name, math.nan),
                champion=(champion or {}).get(name, math.nan),
            )
        )
    order = {description.pattern: index for index, description in enumerate(DESCRIPTIONS)}
    return sorted(lines, key=lambda line: order.get(line.description.pattern, len(order)))


def score_table(report: EvaluationReport) -> str:
    """The scores as aligned plain text for a terminal, a line each: metric, value, spread, floor."""
    rows = [("metric", "value", "95 % or ± std", "real")]
    for line in scores(report):
        floor = "" if math.isnan(line.floor) else format_number(line.floor)
        floor_name = "" if line.floor_name in ("", line.name) else f" ({line.floor_name})"
        rows.append((line.name, format_number(line.value), line.spread, floor + floor_name))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rows.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3]))
    lines = [f"{n:<{widths[0]}}  {v:>{widths[1]}}  {s:>{widths[2]}}  {f:>{widths[3]}}".rstrip() for n, v, s, f in rows]
    marks = [f"* {name}: {why}" for name, why in (report.marks or {}).items()]
    reasons = [f"does not separate, {why}: {', '.join(names)}" for why, names in by_reason(report).items()]
    return "\n".join([*lines, *marks, *reasons])


def by_reason(report: EvaluationReport) -> dict[str, list[str]]:
    """By reason why scores do not separate, their names."""
    names: dict[str, list[str]] = {}
    for name, reasons in (report.does_not_separate or {}).items():
        for reason in reasons:
            names.setdefault(reason, []).append(name)
    return names


def format_number(value: float) -> str:
    """Counts with thousands separators; other numbers fixed, to three decimals or two significant digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    if size < 1e-5:
        return f"{value:.1e}"
    num_decimals = 1 if size >= 100 else 2 if size > 1 else 3 if size >= 0.1 else 1 - math.floor(math.log10(size))
    return f"{value:.{num_decimals}f}"


def _floor_name(name: str, floors: Mapping[str, float]) -> str:
    """The floor of the same metric: of as many pictures, else of another count, else none."""
    if name in floors:
        return name
    return next((other for other in floors if kind_of(other) == kind_of(name)), "")
