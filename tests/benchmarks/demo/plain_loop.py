"""The samples of pipelines.generate by a plain loop in one process: what Ray Data's speed is held against.

python tests/benchmarks/demo/plain_loop.py RECIPE.yaml [--set a.b=value ...]
"""

import sys

from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.formats import prompts
from pipelines.sampling import model_files
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw, samples_table


def act(recipe: Recipe) -> None:
    """Sample every prompt, one shard after the other."""
    config = recipe.generate
    assert config.seed is not None  # a resolved recipe has one
    uris = prompts.find(config.prompts_uri, config.since, config.where)
    sampler = ModelSampler(model_files.fetch_files(config.model_uri, recipe.tracking), config.sampling)
    columns = sampler.task.prompt_columns
    prompt_set = prompts.plan(list(uris), columns, config.sampling.shard_rows, config.max_reject_share)
    reader = prompts.ShardReader()
    for index in range(prompt_set.num_shards):
        table = samples_table(sampler, draw(sampler, reader.read(prompt_set.shard(index)), config.seed))
        storage.commit_table(storage.join(config.samples_uri, f"loop-{index:06d}.parquet"), table)


if __name__ == "__main__":
    act(load_recipe(sys.argv[1], sys.argv[3::2]))  # RECIPE --set KEY=VALUE ...
