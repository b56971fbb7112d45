"""The commit protocol of samples: a planned list of shards, each one file that appears whole or not at all.

A shard's name and bytes are a function of (model digest, prompts digest, run seed, shard index). Whoever writes a
shard, and however often, leaves the same file; one that exists is read, not written.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from ganrnn import checkpoint
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.runner import Workers
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import SamplingConfig
from pipelines.formats import prompts
from pipelines.sampling import model_files
from pipelines.sampling.judge import Chooser, chooser_of
from pipelines.sampling.outputs import output_of
from pipelines.sampling.sampler import ModelSampler

PLAN = "plan.json"


@dataclass(frozen=True)
class Output:
    """A folder of samples and what it is a function of."""

    uri: str
    prompt_set: prompts.PromptSet
    model_digest: str
    seed: int
    precision: str
    decoding: Decoding | None = None  # of texts
    chooser: Chooser | None = None
    truncation: float = 1.0  # of the noise of images

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What plan.json holds: equal plans make equal files."""
        return {
            "model_digest": self.model_digest,
            "prompts_digest": self.prompt_set.digest,
            "seed": self.seed,
            "precision": self.precision,
            "shard_rows": self.prompt_set.shard_rows,
            "num_shards": self.prompt_set.num_shards,
            "num_prompts": self.prompt_set.num_rows,
            **({"decoding": asdict(self.decoding)} if self.decoding else {}),
            **({"choice": self.chooser.plan()} if self.chooser else {}),
            **({"truncation": self.truncation} if self.truncation != 1 else {}),
        }

    @cached_property
    def _prefix(self) -> str:
        return file_prefix(self.plan)

    def shard_name(self, index: int) -> str:
        """The file of a shard."""
        return f"{self._prefix}{index:06d}.parquet"

    def is_shard_name(self, name: str) -> bool:
        """Whether a file of this name is a shard of the plan."""
        index = name.removeprefix(self._prefix).removesuffix(".parquet")
        return index.isdecimal() and int(index) < self.prompt_set.num_shards and name == self.shard_name(int(index))

    def shard_uri(self, index: int) -> str:
        """Where a shard lies."""
        return storage.join(self.uri, self.shard_name(index))


@dataclass(frozen=True)
class ShardRange:
    """Shards [start, stop) of the job's output number `output`."""

    output: int
    start: int
    stop: int


@dataclass(frozen=True)
class Work:
    """All that a worker has to know: the model's files, how to sample, who chooses, and the folders to fill."""

    files: Mapping[str, bytes]
    sampling: SamplingConfig
    outputs: tuple[Output, ...]
    chooser: Chooser | None = None

    @property
    def workers(self) -> Workers:
        """The pool that samples."""
        sampling = self.sampling
        return Workers(
            sampling.num_workers, sampling.cpus_per_worker, sampling.gpus_per_worker, min_workers=sampling.min_workers
        )

    def sampler(self) -> ModelSampler:
        """The model at work."""
        return ModelSampler(self.files, self.sampling, self.chooser)


def prompt_files(recipe: Recipe) -> dict[str, dict[str, int]]:
    """Output folder -> its prompt files and their bytes: one folder for all, or with `incremental` one for each file.

    The folder of a file lies as the file does: prompts_uri/day=2026-01-31/a.parquet goes to
    samples_uri/day=2026-01-31/a.
    """
    config = recipe.generate
    files = prompts.find(config.prompts_uri, config.since, config.where)
    if not config.incremental:
        return {config.samples_uri: files}
    by_folder = {storage.relative(uri, config.prompts_uri).removesuffix(".parquet"): uri for uri in files}
    for folder, uri in by_folder.items():
        for parent in PurePosixPath(folder).parents:
            if outer := by_folder.get(str(parent)):
                raise BadInput(
                    f"{uri} would have its samples inside those of {outer}, as generate.incremental lays them out; "
                    "rename one of the two"
                )
    return {storage.join(config.samples_uri, folder): {uri: files[uri]} for folder, uri in by_folder.items()}


def plan(recipe: Recipe, sets: Mapping[str, Mapping[str, int]]) -> Work:
    """Check the prompts of each folder and the model. Writes nothing; BadInput where one of them cannot be used."""
    config = recipe.generate
    files = model_files.fetch_files(config.model_uri, recipe.tracking)
    task = checkpoint.load_sampler(files, config.model_uri)
    output = output_of(task)
    output.require_truncation(task.config, config.sampling)
    shard_rows, max_reject_share = config.sampling.shard_rows, config.max_reject_share
    planned = [
        prompts.plan(
            list(uris), task.prompt_columns, shard_rows, max_reject_share, output.schema.names, config.incremental
        )
        for uris in sets.values()
    ]
    decoding = output.decoding(config.sampling)
    chooser = chooser_of(recipe, task)
    assert config.seed is not None  # a resolved recipe has one
    for prompt_set in planned:
        prompt_set.require_seed(config.seed)
    outputs = [
        Output(
            uri,
            prompt_set,
            task.model_digest,
            config.seed,
            config.sampling.precision,
            decoding,
            chooser,
            config.sampling.truncation,
        )
        for uri, prompt_set in zip(sets, planned, strict=True)
    ]
    return Work(files, config.sampling, tuple(outputs), chooser)


def file_prefix(plan: Mapping[str, Any]) -> str:
    """How the names of all shards of a plan begin."""
    return storage.sha256(json.dumps(plan, sort_keys=True).encode())[:12] + "-"
