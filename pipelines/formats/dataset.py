"""The data set that ingest wrote: its manifest and the files of its splits."""

from pipelines import storage
from pipelines.formats import manifest as manifests
from pipelines.formats.manifest import Manifest


def read_manifest(dataset_uri: str) -> Manifest:
    """The manifest of a finished ingest; BadInput when there is none."""
    return manifests.read(dataset_uri, "ingest", "or set ingest.dataset_uri to a finished data set")


def shard_uris(dataset_uri: str, manifest: Manifest, split: str) -> list[str]:
    """The files of a split in order."""
    return [storage.join(dataset_uri, shard.uri) for shard in manifest.shards if shard.split == split]
