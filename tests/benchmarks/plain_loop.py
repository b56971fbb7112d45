"""The samples of pipelines.generate by a plain loop in one process: what Ray Data's speed is held against.

python tests/benchmarks/plain_loop.py RECIPE.yaml [--set a.b=value ...]
"""

from jobs import cli
from pipelines import model, prompts, storage
from pipelines.config import Recipe
from pipelines.sampling import ModelSampler, sample_table


def act(recipe: Recipe) -> None:
    """Sample every prompt, one shard after the other."""
    config = recipe.generate
    assert config.seed is not None  # a resolved recipe has one
    prompt_set = prompts.plan(config.prompts_uri, config.sampling.shard_rows, config.max_reject_share)
    sampler = ModelSampler(model.fetch_files(config.model_uri, recipe.tracking), config.sampling)
    for shard in prompt_set.shards:
        table = sample_table(sampler, shard, config.seed)
        storage.commit_table(storage.join(config.samples_uri, f"loop-{shard.index:06d}.parquet"), table)


if __name__ == "__main__":
    cli.run("generate", act)
