"""Settings against the data set that ingest wrote and the prompts that there are."""

from collections.abc import Iterator
from functools import partial

from ganrnn.errors import BadInput
from ganrnn.task import task_class
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.protocol import num_splits_of, protocol_of, real_ids
from pipelines.evaluate.images.worker import load
from pipelines.evaluate.metric_names import Expected, metric_names, require_metrics
from pipelines.formats import prompts
from pipelines.formats.dataset import shard_uris
from pipelines.formats.manifest import Manifest


def require_data(recipe: Recipe, manifest: Manifest, is_evaluated: bool) -> None:
    """Raises BadInput for settings of evaluate and promote that the data set or the prompts cannot serve.

    Without `is_evaluated`, a data set that no evaluation can use is none of the caller's concern, unless the recipe has
    settings for an evaluation.
    """
    config = recipe.evaluate
    is_asked = bool(config.num_candidates or config.num_splits or config.group_by or recipe.promote.champion_metric)
    if not (is_evaluated or is_asked or recipe.promote.at_least or recipe.promote.at_most):
        return
    uris = list(prompts.find(recipe.generate.prompts_uri, recipe.generate.since, recipe.generate.where))
    extractor = load(config.extractor)
    most = sum(_num_samples(uri) for uri in uris)
    num_samples = (int(most * (1 - recipe.generate.max_reject_share)), most)
    expected = Expected(num_samples=num_samples)
    if task_class(recipe.task.name).output_modality == "images":
        reference, real = (shard_uris(recipe.ingest.dataset_uri, manifest, split) for split in ("val", "test"))
        for split in ("val", "test"):
            if manifest.counts[split] < 2:
                raise BadInput(
                    f"{recipe.ingest.dataset_uri} has {manifest.counts[split]} image in its split {split}; evaluate "
                    "needs 2 of each: change ingest.holdout_share or holdout_uri, or ingest.scenes"
                )
        protocol = protocol_of(recipe, manifest, reference, real, extractor)
        num_splits_of(config.num_splits, [partial(prompts.planned_ids, uris), partial(real_ids, real)])
        attributes = tuple(sorted(set(_attributes(real)))) if protocol.built_in else ()
        expected = Expected(num_samples, protocol.num_candidates, attributes, recipe.ingest.has_sources)
    require_metrics(recipe, metric_names(recipe, expected, extractor))


def _num_samples(uri: str) -> int:
    groups = storage.RowGroups(uri)
    if "num_samples" not in groups.schema.names:
        return sum(groups.sizes)
    return sum(1 for _ in prompts.planned_ids([uri]))


def _attributes(uris: list[str]) -> Iterator[str]:
    for uri in uris:
        for batch in storage.read_batches(uri, ["attributes"]):
            for pairs in batch.column(0).to_pylist():
                yield from dict(pairs or [])
