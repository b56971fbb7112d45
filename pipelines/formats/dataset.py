"""The data set that ingest wrote: its manifest and the files of its splits."""

from collections.abc import Sequence

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats import manifest as manifests
from pipelines.formats.content_check import require_intact
from pipelines.formats.manifest import Manifest, ManifestShard


def read_manifest(dataset_uri: str) -> Manifest:
    """The manifest of a finished ingest; BadInput when there is none."""
    return manifests.read(dataset_uri, "ingest", "or set ingest.dataset_uri to a finished data set")


def shard_uris(dataset_uri: str, manifest: Manifest, split: str) -> list[str]:
    """The files of a split in order."""
    return [storage.join(dataset_uri, shard.uri) for shard in manifest.shards if shard.split == split]


def require_intact_splits(dataset_uri: str, manifest: Manifest, splits: Sequence[str]) -> None:
    """Hash the files of some splits. Raises BadInput that names those that are not what the manifest states."""
    if manifest.dataset_digest != dataset_digest(manifest.shards):
        raise BadInput(
            f"{dataset_uri}: the digests of manifest.json do not give its dataset_digest, the file was changed; "
            "delete the folder and run ingest again"
        )
    shards = [shard for shard in manifest.shards if shard.split in splits]
    require_intact(dataset_uri, shards, "run ingest again, which repairs it")


def dataset_digest(shards: Sequence[ManifestShard]) -> str:
    """sha256 over the digests of all shards in order."""
    return storage.sha256("".join(shard.sha256 for shard in shards).encode())
