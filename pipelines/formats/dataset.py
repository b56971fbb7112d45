"""Dataset Parquet as ingest wrote it: its manifest, its captions, its rows by training step."""

from collections.abc import Mapping
from typing import Any

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats.manifest import MANIFEST


def read_manifest(dataset_uri: str) -> dict[str, Any]:
    """The manifest of a finished ingest; BadInput when there is none."""
    uri = storage.join(dataset_uri, MANIFEST)
    if not storage.exists(uri):
        raise BadInput(f"{uri} does not exist; run ingest first, or set ingest.dataset_uri to a finished data set")
    manifest: dict[str, Any] = storage.read_json(uri)
    return manifest


def shard_uris(dataset_uri: str, manifest: Mapping[str, Any], split: str) -> list[str]:
    """The files of a split in order."""
    return [storage.join(dataset_uri, s["uri"]) for s in manifest["shards"] if s["split"] == split]
