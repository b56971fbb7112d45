"""What a folder of samples holds before a generation works on it: whose it is, and what in it is damaged.

Nothing here counts by its name alone: a plan that cannot be read is written again if the names of all shards, which
begin with the digest of their plan, are those of the present one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.progress import say
from pipelines.formats import manifest as manifests
from pipelines.formats.content_check import damaged_shards, listed
from pipelines.formats.manifest import MANIFEST, Manifest
from pipelines.generate.plan import PLAN, Output
from pipelines.generate.receipts import state
from pipelines.storage.folder_identity import claim, require_same

REJECTS_FILE = "rejects.parquet"
# So many foreign files are named, the others counted.
_NUM_NAMED = 3


@dataclass(frozen=True)
class FolderState:
    """A folder of samples.

    manifest:  None where the generation has not finished, or its manifest cannot be read
    damaged:   shards that are not what the manifest states: name -> what is wrong
    problems:  plan or manifest: name -> what is wrong
    """

    output: Output
    manifest: Manifest | None
    damaged: Mapping[str, str]
    problems: Mapping[str, str]

    @classmethod
    def read(cls, output: Output) -> "FolderState":
        """Hash what the manifest lists. Writes nothing.

        Raises BadInput where the folder belongs to another plan or holds Parquet files of something else.
        """
        advice = "set it back, choose another generate.samples_uri, or delete the folder"
        manifest_uri, plan_uri = storage.join(output.uri, MANIFEST), storage.join(output.uri, PLAN)
        manifest, problems = None, {}
        if storage.exists(plan_uri):
            if recorded := _recorded_plan(plan_uri, output):
                require_same(output.uri, recorded, output.plan, advice)
            else:
                problems[PLAN] = "is not readable"
        if storage.exists(manifest_uri):
            if storage.read_object(manifest_uri) is None:
                problems[MANIFEST] = "is not readable"
            else:
                manifest = manifests.read(output.uri, "generate")
                require_same(output.uri, manifest.inputs, output.plan, advice)
        if others := foreign_names(output):
            raise BadInput(
                f"{output.uri} holds {_few(others)}, which this generation does not write; remove that, or "
                "choose another generate.samples_uri"
            )
        if not storage.exists(plan_uri) and (manifest or parquet_names(output)):
            problems[PLAN] = "is missing"
        damaged = damaged_shards(output.uri, manifest.shards) if manifest else {}
        return cls(output, manifest, damaged, problems)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.manifest is not None and not self.damaged and not self.problems

    def prepare(self) -> None:
        """Make the folder ready for sampling: its plan written, and what is damaged out of the way.

        A manifest with damaged shards is turned back into the receipts of its intact shards, so that generation goes
        on as after an interruption.
        """
        output = self.output
        if wrong := {**self.problems, **self.damaged}:
            say(f"{output.uri}: {listed(wrong)}; made again")
        if PLAN in self.problems:
            storage.delete_file(storage.join(output.uri, PLAN))
        claim(output.uri, PLAN, output.plan, "choose another generate.samples_uri")
        if self.manifest and self.damaged:
            for shard in self.manifest.shards:
                if shard.uri not in self.damaged and shard.num_bytes is not None:
                    state(storage.join(output.uri, shard.uri), shard.num_bytes, shard.sha256)
            for name in self.damaged:
                storage.delete_file(storage.join(output.uri, name))
            storage.delete_file(storage.join(output.uri, MANIFEST))


def foreign_names(output: Output) -> list[str]:
    """Parquet files directly in a folder of samples that are neither a shard of its plan nor its rejects."""
    return [name for name in parquet_names(output) if name != REJECTS_FILE and not output.is_shard_name(name)]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
    return ", ".join(names[:_NUM_NAMED]) + more


def parquet_names(output: Output) -> list[str]:
    """The Parquet files directly in a folder; an incremental run may have another folder of samples below it."""
    names = (storage.relative(uri, output.uri) for uri in storage.list_files(output.uri, ".parquet"))
    return [name for name in names if "/" not in name]


def _recorded_plan(plan_uri: str, output: Output) -> Mapping[str, Any] | None:
    """The plan that a folder was begun with; None where it lacks what every plan has."""
    recorded = storage.read_object(plan_uri) or {}
    return recorded if recorded.keys() >= output.plan.keys() - {"decoding", "choice", "truncation"} else None
