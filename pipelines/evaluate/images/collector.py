"""What comes back from `BlockScorer`, added up while it comes: scores by set, and the pictures that a report shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.mergeable import OrderedMerge
from pipelines.evaluate.images.set_statistics import SetScores

Picture = dict[str, Any]
NUM_EXTREMES = 8


class Collected:
    """Sets of pictures by name; of each block no more stays than its share of the sums."""

    def __init__(self, set_names: Sequence[str], num_kept: int) -> None:
        self.sets: dict[str, SetScores] = {}
        self.pictures: dict[str, dict[str, list[Picture]]] = {
            name: {"first": [], "best": [], "worst": []} for name in set_names
        }
        self._merges = {name: OrderedMerge[SetScores]() for name in set_names}
        self._num_kept = num_kept

    def add(self, row: Mapping[str, Any]) -> None:
        """Take what has been said of a block, in any order."""
        set_name, _, index = row["block"].partition("/")
        self._merges[set_name].add(int(index), SetScores.of_block(row, self._num_kept))
        held = self.pictures[set_name]
        for picture in row["shown"]:
            held[picture.pop("kind")].append(picture)
        held["best"] = sorted(held["best"], key=lambda s: (-s["match_score"], s["sample_id"]))[:NUM_EXTREMES]
        held["worst"] = sorted(held["worst"], key=lambda s: (s["match_score"], s["sample_id"]))[:NUM_EXTREMES]

    def finish(self) -> None:
        """Bring the sums together. Raises BadInput where a set has no picture at all."""
        for name, merge in self._merges.items():
            assert merge.is_complete, name
            if merge.total is None:
                raise BadInput(f"evaluate: the {name} set holds no picture; nothing can be scored")
            self.sets[name] = merge.total
