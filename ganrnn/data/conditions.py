"""Class labels and attribute tables as numbers: what a picture is asked to show, other than in words."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ganrnn.errors import BadInput


@dataclass(frozen=True)
class Conditions:
    """The labels 0 to `num_labels` - 1, the values of each categorical attribute, the range of each numeric one.

    A row becomes one vector: a place for each label and each value, 1 where it holds; for a numeric attribute its
    value, -1 to 1 over the range, and a 1 that says that it is there. What is missing is 0 everywhere.
    """

    num_labels: int
    categories: Mapping[str, Sequence[str]]
    ranges: Mapping[str, Sequence[float]]

    def __len__(self) -> int:
        return self.num_labels + sum(map(len, self.categories.values())) + 2 * len(self.ranges)

    @classmethod
    def of_labels(cls, labels: Iterable[int | None]) -> "Conditions":
        """As many labels as the largest one asks for; BadInput where there is none or a negative one."""
        seen = {label for label in labels if label is not None}
        if not seen or min(seen) < 0:
            raise BadInput(f"label: the data set's smallest is {min(seen, default=None)}; allowed are 0 and up")
        return cls(max(seen) + 1, {}, {})

    @classmethod
    def of_attributes(cls, rows: Iterable[Any], numeric: Sequence[str]) -> "Conditions":
        """The attributes of data set rows, of which `numeric` hold numbers; BadInput where one of these does not."""
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
            ranges[name] = [min(numbers.values()), max(numbers.values())]
        categories = {name: sorted(held) for name, held in sorted(values.items()) if name not in numeric}
        return cls(0, categories, ranges)

    def encode(self, labels: Sequence[int | None], attributes: Sequence[Any]) -> torch.Tensor:
        """Columns of rows to float32 [N, len(self)]. A label or value that is not known counts as missing."""
        vectors = torch.zeros(len(labels), len(self))
        for vector, label, row in zip(vectors, labels, attributes, strict=True):
            if label is not None and 0 <= label < self.num_labels:
                vector[label] = 1
            held, place = dict(row or {}), self.num_labels
            for name, values in self.categories.items():
                if held.get(name) in values:
                    vector[place + list(values).index(held[name])] = 1
                place += len(values)
            for name, (low, high) in self.ranges.items():
                if (value := _number(held.get(name))) is not None:
                    vector[place] = 2 * (value - low) / max(high - low, 1e-12) - 1
                    vector[place + 1] = 1
                place += 2
        return vectors

    def count_unknown(self, label: int | None, attributes: Any) -> int:
        """How many of a row's label and attributes the model was never taught."""
        held = {name: value for name, value in dict(attributes or {}).items() if value is not None}
        known = sum(
            value in self.categories.get(name, ()) or (name in self.ranges and _number(value) is not None)
            for name, value in held.items()
        )
        return (len(held) - known if self.categories or self.ranges else 0) + (
            self.num_labels > 0 and label is not None and not 0 <= label < self.num_labels
        )


def check_numeric(condition: str, numeric_attributes: Sequence[str]) -> None:
    """Raise BadInput where a config names numeric attributes and reads none."""
    if condition != "attributes" and numeric_attributes:
        raise BadInput(f"task.numeric_attributes needs task.condition attributes, not {condition}")


def _number(value: str | None) -> float | None:
    """None for what is no finite number."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
