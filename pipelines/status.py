"""How far a generation is, told by its files: of any age, on any machine, whether it runs or not."""

from dataclasses import dataclass
from typing import Any

from ganrnn.errors import BadInput
from pipelines import lease, storage
from pipelines.schemas import MANIFEST
from pipelines.shards import PLAN, file_prefix


@dataclass(frozen=True)
class Status:
    """One folder of samples. `totals` come from the manifest, which a finished one has."""

    uri: str
    num_prompts: int
    num_done: int
    prompts_per_second: float
    totals: dict[str, Any] | None

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
    return [_status(uri.removesuffix(f"/{PLAN}"), files) for uri in plans], lease.holder(samples_uri)


def _status(folder: str, files: dict[str, storage.FileStat]) -> Status:
    plan = storage.read_json(storage.join(folder, PLAN))
    start = storage.join(folder, file_prefix(plan))
    times = sorted(stat.modified_seconds for uri, stat in files.items() if uri.startswith(start))
    done = storage.join(folder, MANIFEST)
    whole = storage.read_json(done) if done in files else None
    seconds = times[-1] - times[0] if times else 0
    return Status(
        uri=folder,
        num_prompts=plan["num_prompts"],
        num_done=min(len(times) * plan["shard_rows"], plan["num_prompts"]),
        prompts_per_second=(len(times) - 1) * plan["shard_rows"] / seconds if seconds else 0.0,
        totals=whole["totals"] if whole else None,
    )
