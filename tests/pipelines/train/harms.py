"""Things done to what one rank of a training reads or writes, so that it has to refuse."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pytest import MonkeyPatch

from ganrnn import distributed
from ganrnn.data.images import encode_png
from ganrnn.data.row_order import RowOrder
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage
from pipelines.config.train import TrainConfig
from pipelines.storage import files
from pipelines.train.job import TrainJob
from pipelines.train.worker import train_worker

STEP = 6  # which meets what is harmed; checkpoints are written every 4 steps
Harm = Callable[[TrainJob, MonkeyPatch], TrainJob]


@dataclass(frozen=True)
class Harmed:
    """`train_worker`, after something was done to what one rank reads or writes."""

    harm: Harm
    rank: int

    def __call__(self, job: TrainJob) -> None:
        with MonkeyPatch.context() as patch:
            train_worker(self.harm(job, patch) if distributed.rank() == self.rank else job)


def own_shards(job: TrainJob) -> TrainJob:
    """The job with a copy of the training shards that no other rank reads."""
    folder = Path(job.recipe.run_uri, "own")
    folder.mkdir()
    return replace(job, train_uris=tuple(shutil.copy(uri, folder) for uri in job.train_uris))


def row_at_step(job: TrainJob) -> tuple[str, int, int]:
    """A shard, a row group and a row of it that this rank reads at STEP."""
    groups = [(uri, group) for uri in job.train_uris for group in range(pq.ParquetFile(uri).num_row_groups)]
    sizes = [pq.ParquetFile(uri).metadata.row_group(group).num_rows for uri, group in groups]
    train: TrainConfig = job.recipe.train
    order = RowOrder(sizes, train.global_batch_size, train.window_rows, job.recipe.seed)
    part = next(order.slices(STEP, distributed.rank(), distributed.world_size()))
    (number,) = part.row_groups  # as many rows as a window
    return *groups[number], int(part.rows[0])


def picture(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """A row whose bytes are no picture."""
    return _with_picture(job, b"no picture")


def small_picture(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """A row whose picture is smaller than those of the task."""
    return _with_picture(job, encode_png(np.zeros((8, 12, 3), np.uint8)))


def _with_picture(job: TrainJob, data: bytes) -> TrainJob:
    job = own_shards(job)
    uri, group, row = row_at_step(job)
    table = pq.read_table(uri)
    images = table.column("image").to_pylist()
    images[64 * group + row]["bytes"] = data
    field = table.schema.field("image")
    table = table.set_column(table.column_names.index("image"), field, pa.array(images, field.type))
    pq.write_table(table, uri, row_group_size=64)
    return job


def row_group(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """Zeros where the pictures of a row group were; the footer is whole."""
    job = own_shards(job)
    uri, group, _ = row_at_step(job)
    about = pq.ParquetFile(uri).metadata.row_group(group)
    (column,) = [c for c in map(about.column, range(about.num_columns)) if c.path_in_schema == "image.bytes"]
    data = bytearray(Path(uri).read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    Path(uri).write_bytes(data)
    return job


def half_a_shard(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """What an interrupted copy leaves: no footer."""
    job = own_shards(job)
    os.truncate(job.train_uris[0], os.path.getsize(job.train_uris[0]) // 2)
    return job


def shrinking_shards(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """Shards that are cut short after they were opened."""
    job = own_shards(job)

    def cut(task: TextToImage) -> None:
        for uri in job.train_uris:
            os.truncate(uri, 100)

    patch.setattr(TextToImage, "step", after(cut))
    return job


def step(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """A step that refuses."""

    def refuse(task: TextToImage) -> None:
        raise BadInput("this batch cannot be learnt from")

    patch.setattr(TextToImage, "step", after(refuse))
    return job


def after(act: Callable[[TextToImage], None]) -> Callable[[TextToImage, Any], Any]:
    """A step that does something more at STEP."""
    real = TextToImage.step

    def acting(task: TextToImage, batch: Any) -> Any:
        if task.step_index == STEP:
            act(task)
        return real(task, batch)

    return acting


def checkpoint(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """A checkpoint that this rank may not read."""
    return failing_read(job, patch, PermissionError(errno.EACCES, "denied"))


def store(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """A store that does not answer for a moment."""
    return failing_read(job, patch, ConnectionError("no answer"))


def failing_read(job: TrainJob, patch: MonkeyPatch, error: OSError) -> TrainJob:
    """Checkpoints whose files cannot be read."""
    read = LocalFileSystem.cat_file

    def cat_file(fs: LocalFileSystem, path: str, **options: Any) -> bytes:
        if path.endswith("networks.safetensors"):
            raise error
        return bytes(read(fs, path, **options))

    patch.setattr(LocalFileSystem, "cat_file", cat_file)
    return job


def full_disk(job: TrainJob, patch: MonkeyPatch) -> TrainJob:
    """No room for a checkpoint."""

    def write(path: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    patch.setattr(files, "_rename_into_place", write)
    return job
