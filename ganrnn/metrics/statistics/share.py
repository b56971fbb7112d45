"""A share as two counts that merge, with its confidence interval."""

from dataclasses import dataclass
from typing import Self

from ganrnn.metrics.statistics.intervals import wilson_interval


@dataclass(frozen=True)
class Share:
    """`count` of `total`, 0 <= count <= total. The sum of the shares of disjoint sets is the share of their union."""

    count: int
    total: int

    def __add__(self, other: Self) -> Self:
        return type(self)(self.count + other.count, self.total + other.total)

    @property
    def value(self) -> float:
        """Between 0 and 1; 0 of 0 is 0, so that a model without output does not score."""
        return self.count / self.total if self.total else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval, see `wilson_interval`; (0, 1) for 0 of 0.

        Raises BadInput unless 0 < confidence < 1.
        """
        return wilson_interval(self.count, self.total, confidence) if self.total else (0.0, 1.0)
