"""Scores by group as bars of a page."""

from dataclasses import dataclass

from pipelines.formats.evaluation_report import Groups, GroupScores
from pipelines.formats.metric_descriptions import description_of, kind_of


@dataclass(frozen=True)
class Bar:
    """The value of a metric for a group, and for its real images; None if there are too few images.

    share, real_share:  of the line's length
    """

    name: str
    num_pictures: int
    value: float | None
    real: float | None
    share: float
    real_share: float


def group_bars(groups: Groups) -> list[tuple[str, str, list[Bar]]]:
    """For each metric: its title, its name and a bar for each group."""
    names = {kind_of(name): name for scores in groups.samples.values() for name in scores.metrics}
    metrics = []
    for kind, name in names.items():
        values = {
            group: (_value(scores, kind), _value(groups.real.get(group), kind))
            for group, scores in groups.samples.items()
        }
        longest = max((value for pair in values.values() for value in pair if value is not None), default=1.0)
        if not kind.startswith("fid"):
            longest = 1.0
        bars = [
            Bar(group, groups.samples[group].num_pictures, value, real, (value or 0) / longest, (real or 0) / longest)
            for group, (value, real) in values.items()
        ]
        metrics.append((description_of(name).title, kind, bars))
    return metrics


def _value(scores: GroupScores | None, kind: str) -> float | None:
    metrics = scores.metrics if scores else {}
    return next((value for name, value in metrics.items() if kind_of(name) == kind), None)
