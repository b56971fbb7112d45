"""A share of a whole as two counts that merge: how many of how many, with its confidence interval."""

from dataclasses import dataclass
from typing import Self

from ganrnn.metrics.statistics.intervals import wilson_interval


@dataclass(frozen=True)
class Share:
    """`found` of `total`, 0 <= found <= total. The shares of disjoint sets add up to that of their union."""

    found: int
    total: int

    def __add__(self, other: Self) -> Self:
        return type(self)(self.found + other.found, self.total + other.total)

    @property
    def value(self) -> float:
        """Between 0 and 1; 0 of 0 is 0, since a model that gives nothing has earned nothing."""
        return self.found / self.total if self.total else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval, see `wilson_interval`; 0 of 0 says nothing and gives (0, 1).

        Raises BadInput unless 0 < confidence < 1.
        """
        return wilson_interval(self.found, self.total, confidence) if self.total else (0.0, 1.0)
