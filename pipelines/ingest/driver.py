"""Images with captions, texts or pairs to a data set: checked, one size, no duplicates, split so that no group leaks.

    python -m jobs ingest jobs/recipes/demo.yaml

Writes train/, val/ and test/ shards, prompts.parquet (the captions and source images of test), rejects.parquet and,
last, manifest.json. Run again, it hashes all shards and makes damaged ones again. The output is a function of the
source and the config. Memory holds one shard per split, a digest of 16 bytes for each row read so far, and the captions
of test.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ganrnn.data.scenes import Split
from ganrnn.errors import BadInput
from ganrnn.tasks.image_to_image import ImageToImageConfig
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.config.recipe import Recipe
from pipelines.flat import flat
from pipelines.formats import manifest as manifests
from pipelines.formats.content_check import damaged_shards, listed
from pipelines.formats.dataset import dataset_digest, shard_uris
from pipelines.formats.manifest import MANIFEST, SCHEMA_VERSION, Manifest, ManifestShard
from pipelines.ingest import unfinished
from pipelines.ingest.prepare import PreparedRow
from pipelines.ingest.row_filter import RowFilter
from pipelines.ingest.source_row import SPLITS, storable
from pipelines.ingest.sources import describe, passed_over, raw_rows
from pipelines.ingest.split_writer import PROMPTS, SplitWriter, prompts_of


def ingest(recipe: Recipe) -> Manifest:
    """Write the data set of a recipe and return its manifest; one that the same source and settings gave is kept.

    Raises BadInput for a source that cannot be read, more rejects than allowed, a split without rows, and a
    `dataset_uri` that holds another data set or files that ingest did not write.
    """
    config = recipe.ingest
    _refuse_overlap(config)
    settings = {"ingest": recipe.as_dict()["ingest"], "seed": recipe.seed}
    inputs = {"source": describe(config, None if config.source == "scenes" else config.source_uri, recipe.seed)}
    for name, uri in (("holdout", config.holdout_uri), ("test", config.test_uri)):
        if uri:
            inputs[name] = describe(config, uri, recipe.seed)
    manifest_uri = storage.join(config.dataset_uri, MANIFEST)
    if storage.exists(manifest_uri):
        manifest = manifests.read(config.dataset_uri, "ingest")
        now = {"schema_version": SCHEMA_VERSION, "config": settings, "inputs": inputs}
        _require_same(manifest.to_json(), now, manifest_uri)
        _repair(recipe, manifest)
        return manifest
    _tell_of_passed_over(config)
    unfinished.delete(config.dataset_uri)
    try:
        shards, totals, prompts = _write_rows(recipe)
        storage.commit_table(storage.join(config.dataset_uri, PROMPTS), prompts, config.row_group_rows)
    except BadInput:
        unfinished.delete(config.dataset_uri, keep_rejects=True)
        raise
    manifest = Manifest("ingest", inputs, settings, shards, totals)
    manifests.commit(config.dataset_uri, manifest)
    return manifest


def split_of(group: str, seed: int, holdout_share: float) -> Split:
    """The split of a group: a keyed hash sends `holdout_share` of all groups to val and test, half to each."""
    digest = hashlib.blake2b(group.encode(), digest_size=8, key=str(seed).encode()).digest()
    position = int.from_bytes(digest, "big") / 2**64
    if position < holdout_share / 2:
        return "val"
    return "test" if position < holdout_share else "train"


def _repair(recipe: Recipe, manifest: Manifest) -> None:
    """Hash the shards of a finished data set and write the damaged ones again, from the source; then its prompts.

    Raises BadInput where the source or this version of ganrnn gives other rows than the manifest states.
    """
    config = recipe.ingest
    if problems := damaged_shards(config.dataset_uri, manifest.shards):
        stated = {shard.uri: shard.sha256 for shard in manifest.shards}
        shards, _, _ = _write_rows(recipe, {name: stated[name] for name in problems})
        digests = {shard.uri: shard.sha256 for shard in shards}
        if lost := [name for name in problems if digests.get(name) != stated[name]]:
            raise BadInput(
                f"{config.dataset_uri} is damaged: {listed(problems)}; {lost[0]} cannot be made again, because the "
                "source or this version of ganrnn gives other rows now; delete the folder and run ingest again"
            )
        print(f"{config.dataset_uri}: {listed(problems)}; made again", file=sys.stderr)
    uri = storage.join(config.dataset_uri, PROMPTS)
    prompts = pa.concat_tables(
        prompts_of(storage.read_table([test_uri]), config)
        for test_uri in shard_uris(config.dataset_uri, manifest, "test")
    )
    if not _has_rows(uri, prompts):
        storage.commit_table(uri, prompts, config.row_group_rows)
        print(f"{uri} is not what the test split gives; made again", file=sys.stderr)


def _has_rows(uri: str, rows: pa.Table) -> bool:
    """Whether a Parquet file is there and has these rows."""
    if not storage.exists(uri):
        return False
    data = storage.read_bytes(uri)
    try:
        return bool(pq.read_table(pa.BufferReader(data)).equals(rows))
    except (pa.ArrowException, OSError):
        return False


def _write_rows(
    recipe: Recipe, repaired: Mapping[str, str] | None = None
) -> tuple[tuple[ManifestShard, ...], dict[str, int | str], pa.Table]:
    """All files but prompts and manifest; returns the shards in order, the totals and the prompts.

    `repaired` is that of `SplitWriter`.
    """
    config = recipe.ingest
    is_paired = isinstance(recipe.task, ImageToImageConfig) and recipe.task.pairing == "paired"
    row_filter = RowFilter(config, needs_source=is_paired and config.has_sources)
    writers = {split: SplitWriter(config, split, repaired) for split in SPLITS}
    for split, row in _split_rows(recipe, row_filter):
        writers[split].add(row)
    if not row_filter.counts["read"]:
        raise BadInput(f"{config.source_uri} holds no row; give a source with at least one")
    row_filter.write_rejects()
    for writer in writers.values():
        writer.flush()
        if not writer.shards:
            raise BadInput(
                f"{config.source_uri}: no row is left for {writer.split} out of {row_filter.counts['read']} read; "
                f"change ingest.holdout_share ({config.holdout_share}) or holdout_uri, or give more groups of rows"
            )
    shards = tuple(shard for split in SPLITS for shard in writers[split].shards)
    rows: dict[str, int] = {split: sum(shard.num_rows for shard in writers[split].shards) for split in SPLITS}
    kinds = ("read", "duplicates", "images_without_caption", "held_out_elsewhere")
    totals: dict[str, int | str] = {
        **rows,
        **{kind: row_filter.counts[kind] for kind in kinds},
        "rejects": len(row_filter.rejects),
        **({"height": config.height, "width": config.width} if config.kind == "images" else {}),
        "dataset_digest": dataset_digest(shards),
    }
    return shards, totals, pa.concat_tables(writers["test"].prompts)


def _split_rows(recipe: Recipe, row_filter: RowFilter) -> Iterator[tuple[Split, PreparedRow]]:
    """Every accepted row with its split; rows of a group that an earlier split holds are left out and counted."""
    config = recipe.ingest
    if config.source == "scenes" or not config.holdout_uri:
        uri = None if config.source == "scenes" else config.source_uri
        for row in row_filter.passed(raw_rows(config, uri, recipe.seed)):
            yield row.split or split_of(row.group, recipe.seed, config.holdout_share), row
        return
    held_out: set[str] = set()
    sources: list[tuple[str | None, Split | None]] = [(config.holdout_uri, None), (config.source_uri, "train")]
    if config.test_uri:
        sources = [(config.test_uri, "test"), (config.holdout_uri, "val"), (config.source_uri, "train")]
    for uri, split in sources:
        groups = set()
        for row in row_filter.passed(raw_rows(config, uri, recipe.seed)):
            if row.group in held_out:
                row_filter.counts["held_out_elsewhere"] += 1
                continue
            groups.add(row.group)
            yield split or split_of(row.group, recipe.seed, holdout_share=1.0), row
        held_out |= groups


def _tell_of_passed_over(config: IngestConfig) -> None:
    for uri in (config.source_uri, config.holdout_uri, config.test_uri):
        others = passed_over(config, uri) if uri and config.source != "scenes" else []
        if others:
            first = ", ".join(storable(storage.relative(file, str(uri))) for file in others[:3])
            print(f"{uri}: {len(others)} files are passed over for their names or kinds: {first}", file=sys.stderr)


def _refuse_overlap(config: IngestConfig) -> None:
    """A dataset inside its source would become part of it, and be deleted or read by the next run."""
    dataset = config.dataset_uri.rstrip("/") + "/"
    for name in ("source_uri", "holdout_uri", "test_uri"):
        uri = getattr(config, name)
        source = uri.rstrip("/") + "/" if uri else None
        if source and (source.startswith(dataset) or dataset.startswith(source)):
            raise BadInput(f"ingest.{name} {uri} and dataset_uri {config.dataset_uri} overlap; give a folder apart")


def _require_same(manifest: Mapping[str, Any], now: Mapping[str, Any], uri: str) -> None:
    """Raise BadInput naming the first key in which a data set differs from what this recipe would give."""
    before, after = flat(manifest, into_lists=True), flat(now, into_lists=True)
    compared = [key for key in before if key.split(".")[0] in now]
    for key in dict.fromkeys([*after, *compared]):
        # A data set may be moved: its URI is no difference.
        if key != "config.ingest.dataset_uri" and before.get(key) != after.get(key):
            raise BadInput(
                f"{uri}: {key.removeprefix('config.')} was {before.get(key)!r} when this dataset was made and is "
                f"{after.get(key)!r} now; give another run_uri or ingest.dataset_uri, or delete the folder"
            )
