"""A training by processes that are forked with everything imported: seconds where Ray Train takes a minute to start.

Ray Train itself is at work where training is tested (test_train.py) and where commands are run.
"""

import multiprocessing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from ray import cloudpickle
from torch import distributed as dist

from pipelines.config import Recipe
from pipelines.train.driver import train
from pipelines.train.worker import train_worker

multiprocessing.set_forkserver_preload([__name__])


class Reports(list[Any]):
    """Stands where the queue to the driver is."""

    put = list.append


def train_forked(recipe: Recipe) -> str:
    """`train` in all that the driver does; gloo workers from a fork server stand where those of Ray Train are."""
    with mock.patch("pipelines.train.driver._fit", _fit):
        return train(recipe)


def _fit(job: dict[str, Any]) -> None:
    own = cloudpickle.dumps({**job, "reports": Reports()})  # the queue is Ray's, of which the workers are not
    world_size = job["recipe"].train.num_workers
    with TemporaryDirectory() as folder:
        arguments = (own, world_size, Path(folder) / "store")
        torch.multiprocessing.start_processes(_work, arguments, world_size, start_method="forkserver")


def _work(rank: int, job: bytes, world_size: int, store: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    train_worker(cloudpickle.loads(job))
    dist.destroy_process_group()
