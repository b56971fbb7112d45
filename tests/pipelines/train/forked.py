"""A training by processes that are forked with everything imported: seconds where Ray Train takes a minute to start.

Ray Train itself is at work where training is tested (test_train.py) and where commands are run.
"""

import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ray import cloudpickle
from torch import distributed as dist
from torch.multiprocessing.spawn import ProcessException

from ganrnn.errors import BadInput
from pipelines.cluster.messages import Refusal
from pipelines.cluster.runner import Workers
from pipelines.cluster.serial_runner import SerialRunner
from pipelines.cluster.session import using
from pipelines.config.recipe import Recipe
from pipelines.train.driver import train
from tests.pipelines.train.jobs import KeptReports

multiprocessing.set_forkserver_preload([__name__])


class ForkedRunner(SerialRunner):
    """Trains by gloo processes from a fork server; all else runs in this process."""

    def train(self, worker: Callable[[Any], None], job: Any, workers: Workers, folder_uri: str, failures: int) -> None:
        """As many ranks as asked for; they are not started again. When one fails, torch ends the others."""
        own = cloudpickle.dumps((worker, replace(job, reports=KeptReports())))
        with TemporaryDirectory() as folder:
            arguments = (own, workers.num_workers, Path(folder))
            try:
                torch.multiprocessing.start_processes(_work, arguments, workers.num_workers, start_method="forkserver")
            except ProcessException as error:
                for path in sorted(Path(folder).glob("refusal-*")):
                    raise pickle.loads(path.read_bytes()).error() from error
                raise


def train_forked(recipe: Recipe) -> str:
    """`train` by a ForkedRunner."""
    with using(ForkedRunner()):
        return train(recipe)


def _work(rank: int, pickled: bytes, world_size: int, folder: Path) -> None:
    store = f"file://{folder}/store"
    # A rank that waits for one that is gone fails after this long, where its own end does not come first.
    dist.init_process_group("gloo", store, timedelta(minutes=5), rank=rank, world_size=world_size)
    worker, job = cloudpickle.loads(pickled)
    try:
        worker(job)
    except BadInput as error:
        (folder / f"refusal-{rank}").write_bytes(pickle.dumps(Refusal.of(error)))
        raise
    dist.destroy_process_group()
