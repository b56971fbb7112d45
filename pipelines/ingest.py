"""Pictures with captions, texts or pairs to a dataset: checked, one size, no duplicates, split so that no group leaks.

    python -m jobs.ingest jobs/recipes/demo.yaml

Writes train/, val/ and test/ shards, prompts.parquet (the captions and source pictures of test), rejects.parquet and,
last, manifest.json.
The output is a function of the source and the config. Memory holds one shard a split, 16-byte digests of what was
seen, and the captions of test.
"""

import hashlib
import json
import operator
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from ganrnn.data import images
from ganrnn.data.scenes import Split
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config import Recipe
from pipelines.config.ingest import IngestConfig
from pipelines.formats import schemas
from pipelines.formats.manifest import MANIFEST, SCHEMA_VERSION, build_manifest
from pipelines.sources import SPLITS, RawRow, describe, raw_rows

PROMPTS = "prompts.parquet"
REJECTS = "rejects.parquet"
_SHARD = re.compile(r"\d{5,}\.parquet")


@dataclass(frozen=True)
class PreparedRow:
    """A row that fits the dataset, as its `columns`; `content` is the digest of all that it holds but its id."""

    columns: dict[str, Any]
    group: str
    split: Split | None
    content: bytes

    @property
    def id(self) -> str:
        """Given by the source, or made of the content."""
        return str(self.columns["id"])


def ingest(recipe: Recipe) -> dict[str, Any]:
    """Write the dataset of a recipe and return its manifest; a dataset made already from the same is left as it is.

    Raises BadInput for a source that cannot be read, more rejects than allowed, a split without rows, and a
    `dataset_uri` that holds a dataset made otherwise or anything not written here.
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
        manifest: dict[str, Any] = storage.read_json(manifest_uri)
        now = {"schema_version": SCHEMA_VERSION, "config": settings, "inputs": inputs}
        _require_same(manifest, now, manifest_uri)
        return manifest
    storage.delete_folder(storage.join(config.dataset_uri, REJECTS))
    _delete_rows(config.dataset_uri)
    try:
        shards, totals = _write_rows(recipe)
    except BadInput:
        _delete_rows(config.dataset_uri)
        raise
    manifest = build_manifest("ingest", inputs=inputs, config=settings, shards=shards, totals=totals)
    storage.commit_json(manifest_uri, manifest)
    return manifest


def prepare(row: RawRow, config: IngestConfig) -> PreparedRow | str:
    """The row as the dataset holds it, or why it cannot be; a function of the row alone.

    Pictures of another size are scaled to `height` x `width` by `images.scaled`.
    """
    if row.problem:
        return row.problem
    try:
        text, label = _text(row.text), _whole_number(row.label)
        attributes = {name: _plain(value, name) for name, value in row.attributes.items()}
        held, digests = _pictures(row, config) if config.kind == "images" else ({}, [])
        if config.kind == "pairs":
            held = {"source": _text(row.source_text), "target": text}
        else:
            held["text"] = text
        words = [held["source"]] if config.kind == "pairs" else []
        named = json.dumps([*digests[:1], *words, text, label, sorted(attributes.items()), *digests[1:]])
        content = hashlib.sha256(named.encode()).digest()
        row_id = content.hex()[:32] if row.id is None else _plain(row.id, "id")
        own = f"picture {digests[0]}" if digests else f"text {storage.sha256((words or [text])[0].encode())}"
        group = own if row.group is None else f"group {_plain(row.group, 'group')}"
    except BadInput as problem:
        return str(problem)
    held |= {"id": row_id, "label": label, "attributes": list(attributes.items()) or None}
    return PreparedRow(held, group, row.split, content[:16])


def _pictures(row: RawRow, config: IngestConfig) -> tuple[dict[str, Any], list[str]]:
    """The columns of a row's picture and, where it has one, of its source picture, and the digests of their pixels."""
    held, digests = {}, []
    for name, picture in (("image", row.image), ("source_image", row.source_image)):
        if name == "source_image" and picture is None:
            continue
        size = (config.height, config.width)
        pixels = picture if isinstance(picture, np.ndarray) else images.scaled(picture or b"", *size)
        held[name] = {"bytes": images.encode_png(pixels), "path": None}
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
    return held, digests


def split_of(group: str, seed: int, holdout_share: float) -> Split:
    """The side of a group: a keyed hash sends `holdout_share` of all groups to val and test, half to each."""
    digest = hashlib.blake2b(group.encode(), digest_size=8, key=str(seed).encode()).digest()
    position = int.from_bytes(digest, "big") / 2**64
    if position < holdout_share / 2:
        return "val"
    return "test" if position < holdout_share else "train"


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise BadInput(f"text is of type {type(value).__name__}; allowed is a string")
    if value is None or not value.strip():
        raise BadInput("text is empty")
    return _plain(value, "text")


def _plain(value: Any, name: str) -> str:
    """Any scalar as text that can be stored: not empty, and without half a surrogate pair, which JSON may hold."""
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{name} is no valid Unicode ({error.reason})") from error
    if not text:
        raise BadInput(f"{name} is empty")
    return text


def _whole_number(label: Any) -> int | None:
    if label is None:
        return None
    try:
        number = int(label) if isinstance(label, str) else int(operator.index(label))
    except (ValueError, TypeError) as error:
        raise BadInput(f"label is {label!r:.80}; allowed are whole numbers") from error
    if not -(2**63) <= number < 2**63:
        raise BadInput(f"label is {label!r:.80}; allowed are whole numbers of 64 bits")
    return number


@dataclass
class _Sieve:
    """Lets each row through once and counts the others: rejects, repeats, pictures without a caption."""

    config: IngestConfig
    counts: Counter[str] = field(default_factory=Counter)
    rejects: list[dict[str, str | None]] = field(default_factory=list)
    contents: set[bytes] = field(default_factory=set)
    ids: set[bytes] = field(default_factory=set)

    def passed(self, rows: Iterator[RawRow]) -> Iterator[PreparedRow]:
        for row in tqdm(rows, desc="ingest", unit="row", mininterval=0.5):
            if not row.has_caption:
                self.counts["images_without_caption"] += 1
                continue
            self.counts["read"] += 1
            prepared = prepare(row, self.config)
            if isinstance(prepared, str):
                self._reject(row, prepared)
                continue
            # Drawn rows may repeat: their number is part of the config, and chance is part of the distribution.
            if prepared.split is None and prepared.content in self.contents:
                self.counts["duplicates"] += 1
                continue
            row_id = hashlib.blake2b(prepared.id.encode(), digest_size=16).digest()
            if row_id in self.ids:
                self._reject(row, f"id {prepared.id!r} stands twice, on different rows; allowed are unique ids")
                continue
            self.contents.add(prepared.content)
            self.ids.add(row_id)
            yield prepared

    def _reject(self, row: RawRow, reason: str) -> None:
        row_id = None if row.id is None else str(row.id).encode(errors="replace").decode()
        self.rejects.append({"place": row.place, "id": row_id, "reason": reason})

    def write_rejects(self) -> None:
        """Raises BadInput when they are too many."""
        uri = storage.join(self.config.dataset_uri, REJECTS)
        storage.commit_table(uri, pa.Table.from_pylist(self.rejects, schema=schemas.REJECTS))
        num_rejects, num_read = len(self.rejects), self.counts["read"]
        if num_rejects > self.config.max_reject_share * num_read:
            raise BadInput(
                f"{self.config.source_uri}: {num_rejects} of {num_read} rows ({num_rejects / num_read:.1%}) are "
                f"rejected, ingest.max_reject_share allows {self.config.max_reject_share:.1%}; the first: "
                f"{self.rejects[0]['place']}: {self.rejects[0]['reason']} (all are in {uri})"
            )


@dataclass
class _ShardWriter:
    """Collects the rows of a split and commits a file whenever `shard_rows` are there."""

    config: IngestConfig
    split: Split
    rows: list[dict[str, Any]] = field(default_factory=list)
    shards: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[pa.Table] = field(default_factory=list)

    def add(self, row: PreparedRow) -> None:
        self.rows.append(row.columns)
        if len(self.rows) == self.config.shard_rows:
            self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        table = pa.Table.from_pylist(self.rows, schema=schemas.dataset(self.config.kind, self.config.has_sources))
        name = f"{self.split}/{len(self.shards):05d}.parquet"
        digest = storage.commit_table(storage.join(self.config.dataset_uri, name), table, self.config.row_group_rows)
        self.shards.append({"uri": name, "rows": len(self.rows), "sha256": digest, "split": self.split})
        if self.split == "test":
            self.prompts.append(_prompts(table, self.config))
        self.rows = []

    def write_prompts(self) -> None:
        uri = storage.join(self.config.dataset_uri, PROMPTS)
        storage.commit_table(uri, pa.concat_tables(self.prompts), self.config.row_group_rows)


def _prompts(rows: pa.Table, config: IngestConfig) -> pa.Table:
    """What rows of test ask for."""
    schema = schemas.prompts(config.kind, config.has_sources)
    if config.kind == "images":
        return rows.drop_columns(["image"]).rename_columns(schema.names).cast(schema)
    texts = rows.column("text" if config.kind == "texts" else "source")
    begun = pc.utf8_slice_codeunits(texts, 0, config.prompt_characters) if config.kind == "texts" else texts
    reference = texts if config.kind == "texts" else rows.column("target")
    columns = [rows.column("id"), begun, reference, rows.column("label"), rows.column("attributes")]
    return pa.table(columns, schema=schema)


def _write_rows(recipe: Recipe) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All files but the manifest; returns the shards in order and the totals."""
    config = recipe.ingest
    sieve = _Sieve(config)
    writers = {split: _ShardWriter(config, split) for split in SPLITS}
    for split, row in _split_rows(recipe, sieve):
        writers[split].add(row)
    sieve.write_rejects()
    for writer in writers.values():
        writer.flush()
        if not writer.shards:
            raise BadInput(
                f"{config.source_uri}: no row is left for {writer.split} out of {sieve.counts['read']} read; "
                f"change ingest.holdout_share ({config.holdout_share}) or holdout_uri, or give more groups of rows"
            )
    writers["test"].write_prompts()
    shards = [shard for split in SPLITS for shard in writers[split].shards]
    rows: dict[str, int] = {split: sum(shard["rows"] for shard in writers[split].shards) for split in SPLITS}
    kinds = ("read", "duplicates", "images_without_caption", "held_out_elsewhere")
    return shards, {
        **rows,
        **{kind: sieve.counts[kind] for kind in kinds},
        "rejects": len(sieve.rejects),
        **({"height": config.height, "width": config.width} if config.kind == "images" else {}),
        "dataset_digest": storage.sha256("".join(shard["sha256"] for shard in shards).encode()),
    }


def _split_rows(recipe: Recipe, sieve: _Sieve) -> Iterator[tuple[Split, PreparedRow]]:
    """Every accepted row with its side; rows whose group was held out before them are left out and counted."""
    config = recipe.ingest
    if config.source == "scenes" or not config.holdout_uri:
        uri = None if config.source == "scenes" else config.source_uri
        for row in sieve.passed(raw_rows(config, uri, recipe.seed)):
            yield row.split or split_of(row.group, recipe.seed, config.holdout_share), row
        return
    held_out: set[str] = set()
    sides: list[tuple[str | None, Split | None]] = [(config.holdout_uri, None), (config.source_uri, "train")]
    if config.test_uri:
        sides = [(config.test_uri, "test"), (config.holdout_uri, "val"), (config.source_uri, "train")]
    for uri, side in sides:
        groups = set()
        for row in sieve.passed(raw_rows(config, uri, recipe.seed)):
            if row.group in held_out:
                sieve.counts["held_out_elsewhere"] += 1
                continue
            groups.add(row.group)
            yield side or split_of(row.group, recipe.seed, holdout_share=1.0), row
        held_out |= groups


def _refuse_overlap(config: IngestConfig) -> None:
    """A dataset inside its source would become part of it, and be deleted or read by the next run."""
    dataset = storage.absolute(config.dataset_uri).rstrip("/") + "/"
    for name in ("source_uri", "holdout_uri", "test_uri"):
        uri = getattr(config, name)
        source = storage.absolute(uri).rstrip("/") + "/" if uri else None
        if source and (source.startswith(dataset) or dataset.startswith(source)):
            raise BadInput(f"ingest.{name} {uri} and dataset_uri {config.dataset_uri} overlap; give a folder apart")


def _require_same(manifest: Mapping[str, Any], now: Mapping[str, Any], uri: str) -> None:
    """Raise BadInput naming the first key in which a dataset was made otherwise than it would be now."""
    before, after = _flat(manifest), _flat(now)
    compared = [key for key in before if key.split(".")[0] in now]
    for key in dict.fromkeys([*after, *compared]):
        # A dataset may be moved: where it lies is no difference.
        if key != "config.ingest.dataset_uri" and before.get(key) != after.get(key):
            raise BadInput(
                f"{uri}: {key.removeprefix('config.')} was {before.get(key)!r} when this dataset was made and is "
                f"{after.get(key)!r} now; give another run_uri or ingest.dataset_uri, or delete the folder"
            )


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Nested mappings and lists to dotted keys, tuples being lists as in JSON."""
    if not isinstance(value, Mapping | list | tuple):
        return {key: value}
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {name: leaf for part, inner in items for name, leaf in _flat(inner, f"{key}.{part}".strip(".")).items()}


def _delete_rows(dataset_uri: str) -> None:
    """Remove what an unfinished run left, and nothing else: unknown files are BadInput."""
    for split in SPLITS:
        folder = storage.join(dataset_uri, split)
        for file in storage.list_files(folder):
            if not _SHARD.fullmatch(storage.relative(file, folder)):
                raise BadInput(f"{file} was not written by ingest; give an ingest.dataset_uri of its own")
        storage.delete_folder(folder)
    storage.delete_folder(storage.join(dataset_uri, PROMPTS))
