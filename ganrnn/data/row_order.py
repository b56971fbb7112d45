"""The order of training rows: a function of (seed, epoch, step), so that training can resume at any position.

Parquet row groups are shuffled, dealt into windows that fit in memory, and the rows of each window are shuffled. A data
set that fits in one window is shuffled as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ganrnn import noise
from ganrnn.errors import BadInput

# Consecutive steps need the same three: those of an epoch's row groups and of the two windows of a batch.
_permutation = lru_cache(maxsize=3)(noise.permutation)


@dataclass(frozen=True)
class WindowSlice:
    """The rows of one batch that are in one window: which row groups to read, and which of their rows, in order.

    `row_groups` is sorted; `rows` counts through these row groups as if they were one table.
    """

    row_groups: tuple[int, ...]
    rows: np.ndarray  # int64 [n]


class RowOrder:
    """The global batches of training, each a slice of its epoch; an epoch's last, incomplete batch is dropped."""

    def __init__(self, row_group_rows: Sequence[int], batch_size: int, window_rows: int, seed: int) -> None:
        self.row_group_rows, self.batch_size, self.window_rows, self.seed = (
            row_group_rows,
            batch_size,
            window_rows,
            seed,
        )
        self.batches_per_epoch = sum(row_group_rows) // batch_size
        if not self.batches_per_epoch:
            raise BadInput(
                f"train.global_batch_size is {batch_size}; allowed is at most the number of training rows, "
                f"{sum(row_group_rows)}"
            )

    def slices(self, step: int, rank: int, world_size: int) -> Iterator[WindowSlice]:
        """The rows that a rank reads at a step: its equal part of the global batch, which no world size changes."""
        epoch, index = divmod(step, self.batches_per_epoch)
        share = self.batch_size // world_size
        start = index * self.batch_size + rank * share
        stop = start + share
        begin = 0
        for number, window in enumerate(self._windows(epoch)):
            num_rows = sum(self.row_group_rows[group] for group in window)
            if start < begin + num_rows and begin < stop:
                shuffled = _permutation(num_rows, self.seed, f"rows/{epoch}/{number}")
                yield WindowSlice(window, shuffled[max(start - begin, 0) : stop - begin])
            begin += num_rows

    def _windows(self, epoch: int) -> list[tuple[int, ...]]:
        if sum(self.row_group_rows) <= self.window_rows:
            return [tuple(range(len(self.row_group_rows)))]
        windows: list[list[int]] = []
        num_rows = self.window_rows
        for group in _permutation(len(self.row_group_rows), self.seed, f"groups/{epoch}").tolist():
            if num_rows + self.row_group_rows[group] > self.window_rows:
                windows.append([])
                num_rows = 0
            windows[-1].append(group)
            num_rows += self.row_group_rows[group]
        return [tuple(sorted(window)) for window in windows]
