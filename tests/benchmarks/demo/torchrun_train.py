"""The worker of pipelines.train under plain torchrun, without a Ray session: what Ray Train's speed is held against.

torchrun --standalone --nproc-per-node 2 tests/benchmarks/demo/torchrun_train.py RECIPE.yaml [--set a.b=value ...]
"""

import sys
from dataclasses import asdict

from torch import distributed as dist

from pipelines.cluster.messages import Message
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.tracking import runs
from pipelines.train.driver import build_vocabulary, training_identity
from pipelines.train.job import TrainJob
from pipelines.train.worker import train_worker


class Unread:
    """Stands where Ray Train's workers have the queue of the progress bar."""

    def put(self, message: Message) -> None:
        """Nobody is shown the report."""


def act(recipe: Recipe) -> None:
    """Train to the end on the ranks that torchrun started."""
    dist.init_process_group("gloo")
    manifest = read_manifest(recipe.ingest.dataset_uri)
    uris = shard_uris(recipe.ingest.dataset_uri, manifest, "train")
    identity = training_identity(recipe, manifest)["digest"]
    is_first = dist.get_rank() == 0
    run_id = runs.start_run(recipe.tracking, "train", recipe.as_dict(), identity, {}, {}) if is_first else ""
    vocabulary = asdict(build_vocabulary(recipe, uris))
    val_uris = tuple(shard_uris(recipe.ingest.dataset_uri, manifest, "val"))
    train_worker(TrainJob(recipe, tuple(uris), val_uris, vocabulary, run_id, identity, Unread()))
    if is_first:
        runs.finish_run(recipe.tracking, run_id, "FINISHED")
    dist.destroy_process_group()


if __name__ == "__main__":
    act(load_recipe(sys.argv[1], sys.argv[3::2]))  # RECIPE --set KEY=VALUE ...
