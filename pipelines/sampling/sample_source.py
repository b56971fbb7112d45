"""Where scored samples come from: a finished generation, or prompts and a model that samples during the evaluation."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ganrnn import checkpoint
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.formats import manifest as manifests
from pipelines.formats import prompts
from pipelines.formats.content_check import require_intact
from pipelines.formats.manifest import MANIFEST
from pipelines.sampling import model_files
from pipelines.sampling.judge import Chooser, chooser_of
from pipelines.sampling.outputs import output_of


@dataclass(frozen=True)
class SampleSource:
    """Samples of one model for one prompt set.

    model_digest, prompts_digest:  what the samples are a function of
    manifest_digest:  of the manifest of a finished generation; None if sampled during the evaluation
    choice:           what a judge's choice among candidates depends on; None if no judge chose
    truncation:       by what the noise of images is multiplied
    stored_uris:      the shards of a finished generation
    prompt_set, model_files, chooser:  to sample from during the evaluation
    """

    model_digest: str
    prompts_digest: str
    manifest_digest: str | None
    choice: Mapping[str, str | int | float] | None
    truncation: float = 1.0
    stored_uris: tuple[str, ...] = ()
    prompt_set: prompts.PromptSet | None = None
    model_files: Mapping[str, bytes] | None = None
    chooser: Chooser | None = None

    def sample_ids(self) -> Iterator[str]:
        """The ids of the samples, of those that are still to be made as well; some of these may be rejected yet."""
        if self.prompt_set is None:
            for uri in self.stored_uris:
                for batch in storage.read_batches(uri, ["sample_id"]):
                    yield from batch.column(0).to_pylist()
        else:
            yield from prompts.planned_ids(self.prompt_set.uris)

    def digests(self) -> dict[str, str | None]:
        """What identifies the samples in a report; a judge's choice and truncated noise are part of it."""
        choice = {"choice": json.dumps(self.choice, sort_keys=True)} if self.choice else {}
        return {
            "model_digest": self.model_digest,
            "prompts_digest": self.prompts_digest,
            "samples_manifest_digest": self.manifest_digest,
            **choice,
            **({"truncation": str(self.truncation)} if self.truncation != 1 else {}),
        }


def sample_source(recipe: Recipe) -> SampleSource:
    """The samples that an evaluation scores. Raises BadInput if they, the prompts or the model are missing or bad."""
    return _sampled(recipe) if recipe.evaluate.from_prompts else _stored(recipe)


def _sampled(recipe: Recipe) -> SampleSource:
    config = recipe.generate
    uris = prompts.find(config.prompts_uri, config.since, config.where)
    files = model_files.fetch_files(config.model_uri, recipe.tracking)
    task = checkpoint.load_sampler(files, config.model_uri)
    output_of(task).require_truncation(task.config, config.sampling)
    prompt_set = prompts.plan(
        list(uris),
        task.prompt_columns,
        config.sampling.shard_rows,
        config.max_reject_share,
        output_of(task).schema.names,
    )
    assert config.seed is not None  # a resolved recipe has one
    prompt_set.require_seed(config.seed)
    chooser = chooser_of(recipe, task)
    return SampleSource(
        model_digest=task.model_digest,
        prompts_digest=prompt_set.digest,
        manifest_digest=None,
        choice=chooser.plan() if chooser else None,
        truncation=config.sampling.truncation,
        prompt_set=prompt_set,
        model_files=files,
        chooser=chooser,
    )


def _stored(recipe: Recipe) -> SampleSource:
    samples_uri = recipe.generate.samples_uri
    manifest = manifests.read(samples_uri, "generate", "or set evaluate.from_prompts=true")
    assert manifest.model_digest is not None
    require_intact(samples_uri, manifest.shards, "run generate again, which repairs it")
    return SampleSource(
        model_digest=manifest.model_digest,
        prompts_digest=manifest.prompts_digest,
        manifest_digest=storage.file_digest(storage.join(samples_uri, MANIFEST)),
        choice=manifest.choice,
        truncation=manifest.truncation,
        stored_uris=tuple(storage.join(samples_uri, shard.uri) for shard in manifest.shards),
    )
