"""What an evaluation of texts or verdicts reads: the model, its samples in one table, rows of the data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.formats import prompts
from pipelines.formats.dataset import shard_uris
from pipelines.formats.manifest import Manifest
from pipelines.sampling import model_files
from pipelines.sampling.sample_source import SampleSource
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw, samples_table


@dataclass(frozen=True)
class Tables:
    """A model, its samples, and the rows of some splits by column."""

    task: Any
    model_files: Mapping[str, bytes]
    samples: pa.Table
    rows: Mapping[str, Mapping[str, list[str]]]

    def written(self, split: str) -> list[str]:
        """The texts of a split that the model learns to write."""
        return self.rows[split][self.column]

    @property
    def column(self) -> str:
        """The column of the texts that the model learns to write."""
        return "text" if self.task.dataset_kind == "texts" else "target"

    @property
    def counts(self) -> dict[str, int]:
        """How many samples there are, and how many rows in each split."""
        rows = {split: len(next(iter(columns.values()))) for split, columns in self.rows.items()}
        return {"samples": self.samples.num_rows, **rows}


def read_tables(recipe: Recipe, manifest: Manifest, source: SampleSource, splits: Sequence[str]) -> Tables:
    """Read what is scored; BadInput where there is no sample, or another model wrote the samples."""
    files = source.model_files or model_files.fetch_files(recipe.generate.model_uri, recipe.tracking)
    task = checkpoint.load_sampler(files, recipe.generate.model_uri)
    if source.model_digest != task.model_digest:
        raise BadInput(
            f"{recipe.generate.samples_uri} was made by model {source.model_digest[:12]}, "
            f"{recipe.generate.model_uri} holds {task.model_digest[:12]}; generate again"
        )
    samples = _samples(recipe, files, source)
    if not samples.num_rows:
        raise BadInput(f"{recipe.generate.samples_uri} holds no sample; nothing can be scored")
    uris = {split: shard_uris(recipe.ingest.dataset_uri, manifest, split) for split in splits}
    columns = list(task.input_columns)
    rows = {split: storage.read_table(uris[split], columns).to_pydict() for split in splits}
    return Tables(task, files, samples, rows)


def _samples(recipe: Recipe, files: Mapping[str, bytes], source: SampleSource) -> pa.Table:
    """All samples in one table: the stored ones, or those of the prompts, sampled now."""
    if source.prompt_set is None:
        return storage.read_table(source.stored_uris)
    config = recipe.generate
    sampler, reader = ModelSampler(files, config.sampling), prompts.ShardReader()
    assert config.seed is not None
    shards = map(source.prompt_set.shard, range(source.prompt_set.num_shards))
    return pa.concat_tables(samples_table(sampler, draw(sampler, reader.read(shard), config.seed)) for shard in shards)
