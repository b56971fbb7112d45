"""What each training step reads on one worker."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ganrnn.data.row_order import RowOrder
from ganrnn.errors import BadInput
from ganrnn.task import Batch, Batches, Task
from pipelines import storage
from pipelines.config.train import TrainConfig


def training_batches(
    task: Task, uris: Sequence[str], train: TrainConfig, seed: int, rank: int, world_size: int
) -> Batches:
    """What each step of a training reads on one worker; texts are all kept in memory, as tokens."""
    share = {"seed": seed, "rank": rank, "world_size": world_size}
    if task.dataset_kind != "images":
        rows = storage.read_table(list(uris), list(task.input_columns)).to_pydict()
        batches: Batches = task.batches(rows, train.global_batch_size, **share)  # type: ignore[attr-defined]
        return batches
    sizes = {"batch_size": train.global_batch_size, "window_rows": train.window_rows}
    return CollatedRows(TrainingRows(uris, task.input_columns, **sizes, **share), task)


@dataclass(frozen=True)
class RowGroup:
    """A row group of an open shard, and where its rows stand in the shard."""

    uri: str
    file: pq.ParquetFile
    index: int
    first_row: int
    num_rows: int


def _row_groups(uri: str, file: pq.ParquetFile) -> Iterator[RowGroup]:
    first_row = 0
    for index in range(file.num_row_groups):
        num_rows = file.metadata.row_group(index).num_rows
        yield RowGroup(uri, file, index, first_row, num_rows)
        first_row += num_rows


class CollatedRows:
    """Rows as the tensors that a task makes of them."""

    def __init__(self, rows: "TrainingRows", task: Any) -> None:
        self.rows, self.task = rows, task

    def at(self, step: int) -> Batch:
        """The worker's batch of a step. Raises BadInput that names the row of a shard that the task refuses."""
        rows = self.rows.at(step)
        try:
            batch: Batch = self.task.collate(rows)
        except BadInput:
            for index in range(len(next(iter(rows.values())))):
                self._collate_alone(rows, step, index)
            raise
        return batch

    def _collate_alone(self, rows: Mapping[str, list[Any]], step: int, index: int) -> None:
        try:
            self.task.collate({name: values[index : index + 1] for name, values in rows.items()})
        except BadInput as error:
            raise BadInput(f"{self.rows.name_row(step, index)}: {error}; ingest the data set again") from error


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
        self._row_groups: list[RowGroup] = []
        for uri in uris:
            file = storage.open_parquet(uri)
            storage.require_columns(uri, file.schema_arrow, columns)
            self._row_groups += _row_groups(uri, file)
        sizes = [group.num_rows for group in self._row_groups]
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

    def name_row(self, step: int, index: int) -> str:
        """Which row of which shard is the one at `index` of the columns of a step, counted from 0."""
        slices = self._order.slices(step, self._rank, self._world_size)
        numbers, row = [(part.row_groups, row) for part in slices for row in part.rows.tolist()][index]
        for group in (self._row_groups[number] for number in numbers):
            if row < group.num_rows:
                break
            row -= group.num_rows
        return f"{group.uri}: row {group.first_row + row}"

    def _read(self, step: int) -> dict[str, list[Any]]:
        slices = list(self._order.slices(step, self._rank, self._world_size))
        self._windows = {p.row_groups: self._windows.get(p.row_groups) or self._load(p.row_groups) for p in slices}
        tables = [self._windows[piece.row_groups].take(pa.array(piece.rows)) for piece in slices]
        columns: dict[str, list[Any]] = pa.concat_tables(tables).to_pydict()
        return columns

    def _load(self, groups: Sequence[int]) -> pa.Table:
        tables = [
            storage.read_row_group(group.uri, group.file, group.index, self._columns)
            for group in (self._row_groups[number] for number in groups)
        ]
        # In one piece: from many, `take` copies the whole window to get at a few rows.
        return pa.concat_tables(tables).combine_chunks()
