"""Class labels and attribute tables as condition vectors."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ganrnn.errors import BadInput

_LABEL = ""  # the category of labels with gaps; no attribute has an empty name


@dataclass(frozen=True)
class Conditions:
    """The labels 0 to `num_labels` - 1, the values of each categorical attribute, the range of each numeric attribute.

    A row becomes one vector: one-hot for its label and for each categorical attribute; for a numeric attribute its
    value, scaled from its range to -1 to 1, and a 1 that marks it as present. Missing values are 0; a number outside
    its range counts as the nearest end, and as unknown.
    """

    num_labels: int
    categories: Mapping[str, Sequence[str]]
    ranges: Mapping[str, Sequence[float]]

    def __len__(self) -> int:
        return self.num_labels + sum(map(len, self.categories.values())) + 2 * len(self.ranges)

    @classmethod
    def of_labels(cls, labels: Iterable[int | None]) -> "Conditions":
        """Labels 0 to the largest one, or those that occur if some between do not.

        Raises BadInput if there is no label or a negative one.
        """
        distinct_labels = {label for label in labels if label is not None}
        if not distinct_labels or min(distinct_labels) < 0:
            raise BadInput(
                f"label: the data set's smallest is {min(distinct_labels, default=None)}; allowed are 0 and up"
            )
        if len(distinct_labels) <= max(distinct_labels):
            return cls(0, {_LABEL: [str(label) for label in sorted(distinct_labels)]}, {})
        return cls(max(distinct_labels) + 1, {}, {})

    @classmethod
    def of_attributes(cls, rows: Iterable[Any], numeric: Sequence[str]) -> "Conditions":
        """The attributes of data set rows. Raises BadInput if an attribute of `numeric` is absent or not a number."""
        values: dict[str, set[str]] = {}
        for row in rows:
            for name, value in dict(row or {}).items():
                if value is not None:
                    values.setdefault(name, set()).add(value)
        for name in numeric:
            if name not in values:
                raise BadInput(
                    f"task.numeric_attributes has {name!r}; the data set has {', '.join(sorted(values)) or 'none'}"
                )
        if not values:
            raise BadInput("attributes: no row of the data set has any")
        ranges = {}
        for name in sorted(numeric):
            numbers = {value: number for value in values[name] if (number := _number(value)) is not None}
            if odd := sorted(values[name] - numbers.keys()):
                raise BadInput(f"attribute {name} is {odd[0]!r}; task.numeric_attributes says that it is a number")
            low, high = min(numbers.values()), max(numbers.values())
            if not math.isfinite(high - low):
                raise BadInput(f"attribute {name} is {low:g} to {high:g}; allowed are ranges up to 1.8e308")
            ranges[name] = [low, high]
        categories = {name: sorted(names) for name, names in sorted(values.items()) if name not in numeric}
        return cls(0, categories, ranges)

    @property
    def labels(self) -> list[int]:
        """The class labels."""
        return [int(label) for label in self.categories.get(_LABEL, ())] or list(range(self.num_labels))

    @property
    def known(self) -> str:
        """The labels, or the attributes with their values, for a message."""
        if labels := self.labels:
            return f"the labels {', '.join(map(str, labels))}"
        values = {name: ", ".join(names) for name, names in self.categories.items()}
        values |= {name: f"{low:g} to {high:g}" for name, (low, high) in self.ranges.items()}
        return "; ".join(f"{name}={each}" for name, each in sorted(values.items()))

    def encode(self, labels: Sequence[int | None], attributes: Sequence[Any]) -> torch.Tensor:
        """Columns of N rows to float32 [N, len(self)]. Unknown labels and values count as missing."""
        vectors = torch.zeros(len(labels), len(self))
        for vector, label, row in zip(vectors, labels, attributes, strict=True):
            if label is not None and 0 <= label < self.num_labels:
                vector[label] = 1
            row_attributes, position = self._given(label, row), self.num_labels
            for name, values in self.categories.items():
                if (category := row_attributes.get(name)) is not None and category in values:
                    vector[position + list(values).index(category)] = 1
                position += len(values)
            for name, (low, high) in self.ranges.items():
                if (value := _number(row_attributes.get(name))) is not None:
                    vector[position] = 2 * (min(max(value, low), high) - low) / max(high - low, 1e-12) - 1
                    vector[position + 1] = 1
                position += 2
        return vectors

    def count_unknown(self, label: int | None, attributes: Any) -> int:
        """How many of a row's label and attributes are not in these conditions."""
        given_attributes = {name: value for name, value in self._given(label, attributes).items() if value is not None}
        num_known = sum(
            value in self.categories.get(name, ()) or self._is_in_range(name, value)
            for name, value in given_attributes.items()
        )
        return (len(given_attributes) - num_known if self.categories or self.ranges else 0) + (
            self.num_labels > 0 and label is not None and not 0 <= label < self.num_labels
        )

    def _given(self, label: int | None, attributes: Any) -> dict[str, str | None]:
        """A row's attributes, or its label where labels are a category."""
        if _LABEL in self.categories:
            return {_LABEL: None if label is None else str(label)}
        return dict(attributes or {})

    def _is_in_range(self, name: str, value: str) -> bool:
        """Whether a text stands for a number that a numeric attribute had in training."""
        number, (low, high) = _number(value), self.ranges.get(name, (math.inf, -math.inf))
        return number is not None and low <= number <= high


def check_numeric(condition: str, numeric_attributes: Sequence[str]) -> None:
    """Raise BadInput if a config names numeric attributes but its condition is another one."""
    if condition != "attributes" and numeric_attributes:
        raise BadInput(f"task.numeric_attributes needs task.condition attributes, not {condition}")


def _number(value: str | None) -> float | None:
    """The finite number that a text stands for, or None."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
