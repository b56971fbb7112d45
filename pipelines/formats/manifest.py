"""The manifest of a verb: written last, its presence means that the output is complete.

manifest = read(recipe.ingest.dataset_uri, "ingest")
uris = [storage.join(recipe.ingest.dataset_uri, shard.uri) for shard in manifest.shards]
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.code_revision import code_revision

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"

# In the manifest's JSON: the fields of a shard by their names there.
_SHARD_KEYS = {"uri": "uri", "num_rows": "rows", "sha256": "sha256", "split": "split", "num_bytes": "bytes"}


@dataclass(frozen=True)
class ManifestShard:
    """A file of the output.

    uri:        relative to the folder of the manifest; a closed loop, whose files are elsewhere, has whole URIs
    split:      of a data set: train, val or test
    num_bytes:  of samples
    """

    uri: str
    num_rows: int
    sha256: str
    split: str | None = None
    num_bytes: int | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From an entry of `shards`."""
        return cls(**{name: content[key] for name, key in _SHARD_KEYS.items() if key in content})

    def to_json(self) -> dict[str, str | int]:
        """An entry of `shards`, without what this shard does not have."""
        values = {key: getattr(self, name) for name, key in _SHARD_KEYS.items()}
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True)
class Manifest:
    """What a verb wrote, from what, and by which code.

    inputs:        what the output was computed from, with digests; each verb has its own keys
    config:        the resolved recipe, or the part of it that the output depends on
    totals:        counts, and for a data set its digest
    model_digest:  of the model that made the output, if one did
    """

    verb: str
    inputs: Mapping[str, Any]
    config: Mapping[str, Any]
    shards: tuple[ManifestShard, ...]
    totals: Mapping[str, int | str]
    model_digest: str | None = None
    code_revision: str = field(default_factory=code_revision)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From the content of manifest.json."""
        return cls(**{**content, "shards": tuple(map(ManifestShard.from_json, content["shards"]))})

    def to_json(self) -> dict[str, Any]:
        """The content of manifest.json."""
        return {**vars(self), "shards": [shard.to_json() for shard in self.shards]}

    @property
    def counts(self) -> dict[str, int]:
        """The totals that are numbers."""
        return {name: value for name, value in self.totals.items() if isinstance(value, int)}

    @property
    def dataset_digest(self) -> str:
        """Of a data set: sha256 over the digests of its shards."""
        return str(self.totals["dataset_digest"])

    @property
    def dataset_kind(self) -> str:
        """Of a data set: images, texts or pairs."""
        return str(self.config["ingest"]["kind"])

    @property
    def scenes_kind(self) -> Any:
        """Of a data set of built-in scenes: their kind, None for any other data set."""
        ingest = self.config["ingest"]
        return ingest["scenes"]["kind"] if ingest["source"] == "scenes" else None

    @property
    def prompts_digest(self) -> str:
        """Of samples: sha256 over the prompts that they were made from."""
        return str(self.inputs["prompts_digest"])

    @property
    def choice(self) -> Mapping[str, str | int | float] | None:
        """Of samples that a judge chose among candidates: what the choice depends on."""
        return self.inputs.get("choice")

    @property
    def truncation(self) -> float:
        """Of samples: by what their noise was multiplied."""
        return float(self.inputs.get("truncation", 1))


def read(folder_uri: str, verb: str, advice: str = "") -> Manifest:
    """The manifest of a verb's finished output.

    Raises BadInput, with `advice` as another way out, where there is none, and where it is damaged or another verb's.
    """
    uri = storage.join(folder_uri, MANIFEST)
    if not storage.exists(uri):
        raise BadInput(f"{uri} does not exist; run {verb} first{advice and ', '}{advice}")
    content = storage.read_json(uri)
    if not isinstance(content, dict) or content.get("verb") != verb:
        stated = content.get("verb") if isinstance(content, dict) else None
        raise BadInput(f"{uri} is not a manifest of {verb}: its verb is {stated!r}; give the folder that {verb} wrote")
    try:
        return Manifest.from_json(content)
    except (AttributeError, KeyError, TypeError) as error:
        raise BadInput(f"{uri} is damaged: keys are missing or unknown; run {verb} again in another folder") from error


def commit(folder_uri: str, manifest: Manifest) -> str:
    """Write a manifest and return its sha256; everything that it lists has to be written before."""
    return storage.commit_json(storage.join(folder_uri, MANIFEST), manifest.to_json())
