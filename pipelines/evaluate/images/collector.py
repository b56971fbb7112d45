"""Results of blocks added up while they come: statistics by set, and the pictures that a report shows."""

from collections.abc import Sequence

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.mergeable import OrderedMerge
from pipelines.evaluate.images.block_result import BlockResult, ReportPictures
from pipelines.evaluate.images.set_statistics import SetStatistics

NUM_EXTREMES = 8


class Collector:
    """Sets of images by name; of each block no more stays than its share of the sums."""

    def __init__(self, set_names: Sequence[str], num_kept: int) -> None:
        self.sets: dict[str, SetStatistics] = {}
        self.pictures = {name: ReportPictures() for name in set_names}
        self._merges = {name: OrderedMerge[SetStatistics]() for name in set_names}
        self._num_kept = num_kept

    def add(self, block: BlockResult) -> None:
        """Take the result of a block, in any order."""
        self._merges[block.set_name].add(block.index, SetStatistics.of_block(block, self._num_kept))
        shown, new = self.pictures[block.set_name], block.pictures
        best = sorted(shown.best + new.best, key=lambda picture: (-picture.match_score, picture.sample_id))
        worst = sorted(shown.worst + new.worst, key=lambda picture: (picture.match_score, picture.sample_id))
        self.pictures[block.set_name] = ReportPictures(
            shown.first + new.first, best[:NUM_EXTREMES], worst[:NUM_EXTREMES]
        )

    def finish(self) -> None:
        """Bring the sums together. Raises BadInput where a set has no image at all."""
        for name, merge in self._merges.items():
            assert merge.is_complete, name
            if merge.total is None:
                raise BadInput(f"evaluate: the {name} set holds no picture; nothing can be scored")
            self.sets[name] = merge.total
