"""What each training step reads on one worker."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from ganrnn.data.row_order import RowOrder
from ganrnn.task import Batch, Batches, Task
from pipelines import storage
from pipelines.config import TrainConfig


def training_batches(
    task: Task, uris: Sequence[str], train: TrainConfig, seed: int, rank: int, world_size: int
) -> Batches:
    """What each step of a training reads on one worker; of texts all are held in memory, as tokens."""
    place = {"seed": seed, "rank": rank, "world_size": world_size}
    if task.dataset_kind != "images":
        rows = storage.read_table(list(uris), list(task.input_columns)).to_pydict()
        batches: Batches = task.batches(rows, train.global_batch_size, **place)  # type: ignore[attr-defined]
        return batches
    sizes = {"batch_size": train.global_batch_size, "window_rows": train.window_rows}
    return CollatedRows(TrainingRows(uris, task.input_columns, **sizes, **place), task)


class CollatedRows:
    """Rows as the tensors that a task makes of them."""

    def __init__(self, rows: "TrainingRows", task: Any) -> None:
        self.rows, self.task = rows, task

    def at(self, step: int) -> Batch:
        """The worker's batch of a step."""
        batch: Batch = self.task.collate(self.rows.at(step))
        return batch


class TrainingRows:
    """The rows of each training step for one rank, a window of row groups in memory, the next step read ahead."""

    def __init__(
        self,
        uris: Sequence[str],
        columns: Sequence[str],
        *,
        batch_size: int,
        window_rows: int,
        seed: int,
        rank: int,
        world_size: int,
    ) -> None:
        self._files = [storage.open_parquet(uri) for uri in uris]
        for uri, file in zip(uris, self._files, strict=True):
            storage.require_columns(uri, file.schema_arrow, columns)
        self._row_groups = [(file, group) for file in self._files for group in range(file.num_row_groups)]
        sizes = [file.metadata.row_group(group).num_rows for file, group in self._row_groups]
        self._order = RowOrder(sizes, batch_size, window_rows, seed)
        self._columns, self._rank, self._world_size = list(columns), rank, world_size
        self._windows: dict[tuple[int, ...], pa.Table] = {}
        self._ahead: tuple[int, Future[dict[str, list[Any]]]] | None = None
        self._reader = ThreadPoolExecutor(max_workers=1)

    def at(self, step: int) -> dict[str, list[Any]]:
        """Columns of the rank's rows at a step; the following step is read in the background."""
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._reader.submit(self._read, step))
        rows = self._ahead[1].result()
        self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        return rows

    def _read(self, step: int) -> dict[str, list[Any]]:
        slices = list(self._order.slices(step, self._rank, self._world_size))
        self._windows = {p.row_groups: self._windows.get(p.row_groups) or self._load(p.row_groups) for p in slices}
        tables = [self._windows[piece.row_groups].take(pa.array(piece.rows)) for piece in slices]
        columns: dict[str, list[Any]] = pa.concat_tables(tables).to_pydict()
        return columns

    def _load(self, groups: Sequence[int]) -> pa.Table:
        tables = [
            file.read_row_group(index, columns=self._columns) for file, index in (self._row_groups[g] for g in groups)
        ]
        # In one piece: from many, `take` copies the whole window to get at a few rows.
        return pa.concat_tables(tables).combine_chunks()
