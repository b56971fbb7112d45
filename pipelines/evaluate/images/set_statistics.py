"""The statistics of a set of images, merged from the results of its blocks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np

from ganrnn.metrics.images.conditional_diversity import ConditionSubset
from ganrnn.metrics.images.feature_statistics import FeatureStatistics
from ganrnn.metrics.images.seam import Seam
from ganrnn.metrics.statistics.moments import Moments
from pipelines.evaluate.images.block_result import BlockResult, Counts

IN_DOMAIN = "indomain"
FACTORS = "factors"  # of scenes, among what pictures of one condition are compared by


@dataclass(frozen=True, eq=False)
class GroupStatistics:
    """Moments of the in-domain features of a group of images, and counts."""

    moments: Moments
    counts: Counts

    def merge(self, other: Self) -> Self:
        """The statistics of the union of two disjoint sets of images of the group."""
        return type(self)(self.moments.merge(other.moments), _added(self.counts, other.counts))


@dataclass(frozen=True, eq=False)
class SetStatistics:
    """Statistics of features by extractor, counts, the seam, and groups by name.

    conditions:  by what is compared: pictures of the same conditions; of the training set, and without conditions, none
    """

    features: dict[str, FeatureStatistics]
    conditions: Mapping[str, ConditionSubset]
    counts: Counts
    seam: Seam
    groups: dict[str, GroupStatistics]

    @classmethod
    def of_block(cls, block: BlockResult, num_kept: int) -> Self | None:
        """From the result of a block; None where no image came of it."""
        if not block.ids:
            return None
        statistics = {
            extractor: FeatureStatistics.of(features.values, block.ids, num_kept, features.classes)
            for extractor, features in block.features.items()
        }
        group_of_row = np.array(block.groups)
        in_domain = block.features[IN_DOMAIN].values
        groups = {
            name: GroupStatistics(Moments.from_features(in_domain[group_of_row == name]), counts)
            for name, counts in block.group_counts.items()
        }
        return cls(statistics, block.conditions, block.counts, block.seam, groups)

    def merge(self, other: Self) -> Self:
        """The statistics of the union of two disjoint sets of images."""
        features = {name: statistics.merge(other.features[name]) for name, statistics in self.features.items()}
        groups = dict(self.groups)
        for name, group in other.groups.items():
            groups[name] = groups[name].merge(group) if name in groups else group
        conditions = dict(self.conditions)
        for name, subset in other.conditions.items():
            conditions[name] = conditions[name].merge(subset) if name in conditions else subset
        return type(self)(features, conditions, _added(self.counts, other.counts), self.seam + other.seam, groups)

    @property
    def num_pictures(self) -> int:
        """The number of images."""
        return self.features[IN_DOMAIN].moments.count

    def to_row(self) -> dict[str, Any]:
        """Exact form, as a row of a table."""
        return {
            "features": [{"extractor": name, **statistics.to_parts()} for name, statistics in self.features.items()],
            "conditions": [{"compared": name, "subset": subset.to_bytes()} for name, subset in self.conditions.items()],
            "counts": json.dumps(self.counts),
            "seam": list(astuple(self.seam)),
            "groups": [
                {"name": name, "moments": group.moments.to_bytes(), "counts": json.dumps(group.counts)}
                for name, group in self.groups.items()
            ],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of `to_row`."""
        features = {
            parts["extractor"]: FeatureStatistics.from_parts(
                {name: data for name, data in parts.items() if name != "extractor" and data is not None}
            )
            for parts in row["features"]
        }
        groups = {
            group["name"]: GroupStatistics(Moments.from_bytes(group["moments"]), json.loads(group["counts"]))
            for group in row["groups"]
        }
        conditions = {part["compared"]: ConditionSubset.from_bytes(part["subset"]) for part in row["conditions"]}
        return cls(features, conditions, json.loads(row["counts"]), Seam(*row["seam"]), groups)


def counted(answers: Sequence[Mapping[str, bool]]) -> Counts:
    """By question: how often the answer was right and how often it was asked, from the answers for each image."""
    counts: Counts = {}
    for answer in answers:
        for name, is_right in answer.items():
            count = counts.setdefault(name, [0, 0])
            count[0] += is_right
            count[1] += 1
    return counts


def _added(a: Counts, b: Counts) -> Counts:
    return {name: [sum(pair) for pair in zip(a.get(name, [0, 0]), b.get(name, [0, 0]), strict=True)] for name in a | b}
