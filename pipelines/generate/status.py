"""How far a generation is, told by its files: of any age, on any machine, whether it runs or not."""

from collections.abc import Mapping
from dataclasses import dataclass

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats import manifest as manifests
from pipelines.formats.manifest import MANIFEST
from pipelines.generate.plan import PLAN, file_prefix
from pipelines.storage import lease


@dataclass(frozen=True)
class Status:
    """One folder of samples. `totals` come from the manifest, which a finished one has."""

    uri: str
    num_prompts: int
    num_done: int
    prompts_per_second: float
    totals: Mapping[str, int] | None

    @property
    def seconds_left(self) -> float | None:
        """At the speed so far; None where there is none."""
        return (self.num_prompts - self.num_done) / self.prompts_per_second if self.prompts_per_second else None


def status(samples_uri: str) -> tuple[list[Status], str | None]:
    """The state of every folder of samples at or below a URI, and who works there. BadInput where there is none."""
    files = storage.stat_files(samples_uri)
    plans = [uri for uri in files if uri.rsplit("/", 1)[-1] == PLAN]
    if not plans:
        raise BadInput(f"{samples_uri} holds no {PLAN}; give the samples_uri of a generation")
    names: dict[str, dict[str, float]] = {}
    for uri, stat in files.items():
        folder, _, name = uri.rpartition("/")
        names.setdefault(folder, {})[name] = stat.modified_seconds
    folders = [uri.removesuffix(f"/{PLAN}") for uri in plans]
    return [_status(folder, names[folder]) for folder in folders], lease.holder(samples_uri)


def _status(folder: str, files: Mapping[str, float]) -> Status:
    """`files` holds the times of the folder's files by name."""
    plan = storage.read_json(storage.join(folder, PLAN))
    prefix = file_prefix(plan)
    times = sorted(seconds for name, seconds in files.items() if name.startswith(prefix))
    manifest = manifests.read(folder, "generate") if MANIFEST in files else None
    seconds = times[-1] - times[0] if times else 0
    return Status(
        uri=folder,
        num_prompts=plan["num_prompts"],
        num_done=min(len(times) * plan["shard_rows"], plan["num_prompts"]),
        prompts_per_second=(len(times) - 1) * plan["shard_rows"] / seconds if seconds else 0.0,
        totals=manifest.counts if manifest else None,
    )
