"""What the blocks of one set of pictures add up to: `SetScores`, from the rows of `BlockScorer`, mergeable."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np

from ganrnn.metrics.images.feature_statistics import FeatureStatistics
from ganrnn.metrics.images.seam import Seam
from ganrnn.metrics.statistics.moments import Moments
from pipelines.evaluate.images.block_result import BlockResult, Counts

IN_DOMAIN = "indomain"


@dataclass(frozen=True, eq=False)
class GroupScores:
    """Of the pictures of one group: the moments of their in-domain features, and counts."""

    moments: Moments
    counts: Counts

    def merge(self, other: Self) -> Self:
        """Of the union of two disjoint sets of pictures of the group."""
        return type(self)(self.moments.merge(other.moments), _added(self.counts, other.counts))


@dataclass(frozen=True, eq=False)
class SetScores:
    """Of a set of pictures: statistics of features by extractor, counts, the seam, groups by name."""

    features: dict[str, FeatureStatistics]
    counts: Counts
    seam: Seam
    groups: dict[str, GroupScores]

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
            name: GroupScores(Moments.from_features(in_domain[group_of_row == name]), counts)
            for name, counts in block.group_counts.items()
        }
        return cls(statistics, block.counts, block.seam, groups)

    def merge(self, other: Self) -> Self:
        """Of the union of two disjoint sets of pictures."""
        features = {name: held.merge(other.features[name]) for name, held in self.features.items()}
        groups = dict(self.groups)
        for name, held in other.groups.items():
            groups[name] = groups[name].merge(held) if name in groups else held
        return type(self)(features, _added(self.counts, other.counts), self.seam + other.seam, groups)

    @property
    def num_pictures(self) -> int:
        """How many there are."""
        return self.features[IN_DOMAIN].moments.count

    def to_row(self) -> dict[str, Any]:
        """Exact form, as a row of a table."""
        return {
            "features": [{"extractor": name, **held.to_parts()} for name, held in self.features.items()],
            "counts": json.dumps(self.counts),
            "seam": list(astuple(self.seam)),
            "groups": [
                {"name": name, "moments": held.moments.to_bytes(), "counts": json.dumps(held.counts)}
                for name, held in self.groups.items()
            ],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of `to_row`."""
        features = {
            held["extractor"]: FeatureStatistics.from_parts(
                {part: data for part, data in held.items() if part != "extractor" and data is not None}
            )
            for held in row["features"]
        }
        groups = {
            held["name"]: GroupScores(Moments.from_bytes(held["moments"]), json.loads(held["counts"]))
            for held in row["groups"]
        }
        return cls(features, json.loads(row["counts"]), Seam(*row["seam"]), groups)


def counted(rights: Sequence[Mapping[str, bool]]) -> Counts:
    """By kind: how often right, how often asked for, of what is known of each picture."""
    counts: Counts = {}
    for row in rights:
        for name, is_right in row.items():
            held = counts.setdefault(name, [0, 0])
            held[0] += is_right
            held[1] += 1
    return counts


def _added(a: Counts, b: Counts) -> Counts:
    return {name: [sum(pair) for pair in zip(a.get(name, [0, 0]), b.get(name, [0, 0]), strict=True)] for name in a | b}
