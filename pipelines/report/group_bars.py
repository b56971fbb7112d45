"""Scores by group as bars of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.report.metric_descriptions import kind_of, sense


@dataclass(frozen=True)
class Bar:
    """One group's value of a metric, and that of its real pictures; None where there are too few to have one.

    share, real_share:  of the line's length
    """

    name: str
    num_pictures: int
    value: float | None
    real: float | None
    share: float
    real_share: float


def group_bars(groups: Mapping[str, Any]) -> list[tuple[str, str, list[Bar]]]:
    """For each metric: its title, its name and a bar for each group, of what report.json has under `groups`."""
    samples, real = groups["samples"], groups["real"]
    names = {kind_of(name): name for held in samples.values() for name in held["metrics"]}
    found = []
    for kind, name in names.items():
        values = {group: (_value(held, kind), _value(real.get(group), kind)) for group, held in samples.items()}
        longest = max((value for pair in values.values() for value in pair if value is not None), default=1.0)
        if not kind.startswith("fid"):
            longest = 1.0
        bars = [
            Bar(group, samples[group]["num_pictures"], own, its, (own or 0) / longest, (its or 0) / longest)
            for group, (own, its) in values.items()
        ]
        found.append((sense(name).title, kind, bars))
    return found


def _value(group: Mapping[str, Any] | None, kind: str) -> float | None:
    return next((value for name, value in (group or {"metrics": {}})["metrics"].items() if kind_of(name) == kind), None)
