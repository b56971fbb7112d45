"""The samples of pipelines.generate by what Ray Data offers by itself: read, sample in an actor, write.

python tests/benchmarks/demo/ray_write.py RECIPE.yaml [--set a.b=value ...]
"""

import sys
from collections.abc import Mapping

import pyarrow as pa
import ray
import ray.data

from pipelines.cluster.session import session
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import SamplingConfig
from pipelines.sampling import model_files
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw, samples_table


class Sampler:
    """A batch of prompts to their samples."""

    def __init__(self, files: Mapping[str, bytes], sampling: SamplingConfig, seed: int) -> None:
        self.sampler, self.seed = ModelSampler(files, sampling), seed

    def __call__(self, batch: pa.Table) -> pa.Table:
        return samples_table(self.sampler, draw(self.sampler, batch, self.seed))


def act(recipe: Recipe) -> None:
    """As a user of Ray Data would write it, with blocks of the size of our shards."""
    config = recipe.generate
    files = model_files.fetch_files(config.model_uri, recipe.tracking)
    with session():
        # Reading needs a CPU beside that of the actor, or nothing ever starts (ray-project/ray#44687).
        dataset = ray.data.read_parquet(config.prompts_uri, num_cpus=0.01)
        dataset = dataset.repartition(target_num_rows_per_block=config.sampling.shard_rows)
        dataset.map_batches(
            Sampler,
            fn_constructor_args=(files, config.sampling, config.seed),
            batch_size=config.sampling.shard_rows,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=config.sampling.num_workers),
            num_cpus=config.sampling.cpus_per_worker,
        ).write_parquet(config.samples_uri)


if __name__ == "__main__":
    act(load_recipe(sys.argv[1], sys.argv[3::2]))  # RECIPE --set KEY=VALUE ...
