"""What scores of images depend on."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from ganrnn.data import scenes
from ganrnn.errors import BadInput
from ganrnn.metrics.extractors.load import Extractor
from ganrnn.metrics.images.inception_score import fills
from pipelines import storage
from pipelines.config.evaluate import MOST_CANDIDATES, MOST_GROUPS, MOST_SPLITS
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images import indomain_network
from pipelines.evaluate.images.blocks import condition_of
from pipelines.evaluate.images.meaning import is_told_by_attributes, meanings
from pipelines.formats.manifest import Manifest


@dataclass(frozen=True)
class Protocol:
    """What has to be equal, besides the images, for two scores to be comparable."""

    caption_texts: tuple[str, ...]  # one of each distinct meaning
    caption_keys: tuple[str, ...]
    posterior_texts: tuple[str, ...]  # the classes of the Inception Score
    num_candidates: int  # 0 where there are fewer than two captions: nothing is retrieved
    num_splits: int
    num_kid_features: int
    seed: int
    group_by: str  # text, label or the name of an attribute; empty for no groups
    extractor_digest: str  # of a further network whose features count; empty for none
    captions: str  # what the network reads of a row: text or attributes
    built_in: scenes.Kind | None  # the kind of scenes, whose attributes can be read back from pictures
    has_seam: bool


def protocol_of(
    recipe: Recipe,
    manifest: Manifest,
    reference: Sequence[str],
    real: Sequence[str],
    extractor: Extractor | None,
) -> Protocol:
    """What scores of this recipe depend on; BadInput where the data set cannot give it."""
    by_attributes = is_told_by_attributes(manifest.scenes_kind, recipe.evaluate.captions, condition_of(recipe.task))
    captions, classes = (distinct_captions(recipe, uris, by_attributes) for uris in (real, reference))
    class_keys = sorted(classes)[:100]
    num_candidates = _num_candidates(recipe.evaluate.num_candidates, len(captions))
    _require_groups(recipe.evaluate.group_by, real)
    return Protocol(
        caption_texts=tuple(captions[key] for key in sorted(captions)),
        caption_keys=tuple(sorted(captions)),
        posterior_texts=tuple(classes[key] for key in class_keys),
        num_candidates=num_candidates,
        num_splits=recipe.evaluate.num_splits or MOST_SPLITS,
        num_kid_features=recipe.evaluate.num_kid_features,
        seed=recipe.seed,
        group_by=recipe.evaluate.group_by,
        extractor_digest=extractor.digest if extractor else "",
        built_in=manifest.scenes_kind,
        captions=recipe.evaluate.captions,
        has_seam=recipe.task.wrap_horizontally,
    )


def _num_candidates(asked: int | None, num_captions: int) -> int:
    """The number of captions that R-precision ranks: what is asked for, else 100 or as many as there are.

    0 where there is nothing to rank: without captions, or with the same for all.
    """
    if num_captions < 2:
        return 0
    if asked and asked > num_captions:
        raise BadInput(
            f"evaluate.num_candidates is {asked}; the prompts hold {num_captions} distinct captions, "
            f"allowed are 2 to {num_captions}"
        )
    return asked or min(MOST_CANDIDATES, num_captions)


def num_splits_of(asked: int | None, ids: Sequence[Callable[[], Iterable[str]]]) -> int:
    """The number of splits of the Inception Score: what is asked for, else 10 or as many as have a sample.

    ids:  of each set that has a score: the samples, and real images in their place
    """
    most = asked or MOST_SPLITS
    if any(len(list(islice(ids_of_set(), 2))) < 2 for ids_of_set in ids):
        return most  # which is no set that could be scored
    for num_splits in range(most, 0, -1):
        if all(fills(ids_of_set(), num_splits) for ids_of_set in ids):
            if asked and num_splits < asked:
                raise BadInput(
                    f"evaluate.num_splits is {asked}; there are too few samples, or real images in their place, for a "
                    f"sample in each; allowed are 1 to {num_splits}"
                )
            return num_splits
    return 1


def real_ids(uris: Sequence[str]) -> Iterator[str]:
    """The ids of the real images that stand in the place of samples."""
    for uri in uris:
        for batch in storage.read_batches(uri, ["id"]):
            yield from batch.column(0).to_pylist()


def _require_groups(group_by: str, uris: Sequence[str]) -> None:
    """Raises BadInput where real pictures have no such groups, or more than a page can show."""
    if not group_by:
        return
    values, names = set[str](), {"text", "label"}
    for uri in uris:
        for batch in storage.read_batches(uri, ["text", "label", "attributes"]):
            for row in batch.to_pylist():
                attributes = dict(row["attributes"] or {})
                names |= {*attributes}
                value = (attributes | {"text": row["text"], "label": row["label"]}).get(group_by)
                values |= set() if value is None else {str(value)}
    if not 0 < len(values) <= MOST_GROUPS:
        raise BadInput(
            f"evaluate.group_by is {group_by!r}, of which the test split has {len(values)} values; "
            f"1 to {MOST_GROUPS} are needed, of {', '.join(sorted(names))}"
        )


def distinct_captions(recipe: Recipe, uris: Sequence[str], by_attributes: bool = False) -> dict[str, str]:
    """One text for each meaning, the first in code point order; see `meanings`."""
    by_meaning: dict[str, str] = {}
    for uri in uris:
        for batch in storage.read_batches(uri, ["text", "attributes"]):
            texts, attributes = (column.to_pylist() for column in batch.columns)
            captions = indomain_network.captions(recipe.evaluate.captions, texts, attributes)
            keys = map(str, meanings(texts, attributes, by_attributes))
            for key, caption in zip(keys, captions, strict=True):
                by_meaning[key] = min(by_meaning.get(key, caption), caption)
    return by_meaning


def protocol_digest(
    protocol: Protocol, network_digest: str, digests: Mapping[str, str | None], counts: Mapping[str, int]
) -> str:
    """Equal for two reports whose scores may be compared; `digests` are those of the report."""
    parts = [asdict(protocol), network_digest, digests["prompts_digest"], counts]
    parts += [digests[name] for name in ("choice", "truncation", "judge_digest") if name in digests]
    return storage.sha256(json.dumps(parts, sort_keys=True).encode())
