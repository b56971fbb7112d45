"""Shards on which an actor has died more than once: a prompt kills the process, or memory does not suffice.

Each attempt runs in a process of its own: the whole shard first, then with the least micro-batch; then halves are tried
until the prompts that kill are found, and the shard is written without them.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

from pipelines.cluster.errors import accepted, answered
from pipelines.config import LEAST_MICRO_BATCH
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import Work
from pipelines.generate.worker import ShardWriter
from pipelines.sampling.samples import draw

logger = logging.getLogger(__name__)

_DEATHS = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, LocalRayletDiedError)


def write(work: Work, output: int, index: int) -> dict[str, Any]:
    """One shard, whatever is in it; returns a row as ShardWriter does."""
    row = _write_whole(work, output, index, {})
    if row is None:
        deadly = _find_deadly(work, output, index)
        row = _write_whole(work, output, index, dict.fromkeys(deadly, "the sampler's process dies on it"))
    if row is None:
        raise RuntimeError(f"{work.outputs[output].shard_uri(index)}: the process dies on every attempt to sample it")
    return row


def _write_whole(work: Work, output: int, index: int, skipped: Mapping[str, str]) -> dict[str, Any] | None:
    """None where the process died, with the given micro-batch and with the least."""
    row = _survived(work, _write, output, index, skipped)
    return row or _survived(_least(work), _write, output, index, skipped)


def _find_deadly(work: Work, output: int, index: int) -> list[str]:
    """The ids of the prompts of a shard on which a process dies twice."""
    place = _least(work)
    deadly: list[str] = []
    waiting = [(0, work.outputs[output].prompt_set.shard(index).num_rows)]
    while waiting:
        start, stop = waiting.pop()
        if _survived(place, _sample, output, index, start, stop):
            continue
        if stop - start > 1:
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
        elif not _survived(place, _sample, output, index, start, stop):  # once may have been the node
            rows = ShardReader().read(work.outputs[output].prompt_set.shard(index))
            deadly.append(rows.column("prompt_id")[start].as_py())
    return deadly


def _least(work: Work) -> Work:
    return replace(work, sampling=replace(work.sampling, micro_batch_size=LEAST_MICRO_BATCH))


def _survived(work: Work, task: Any, *arguments: Any) -> dict[str, Any] | None:
    """What a task in a process of its own returns; None where the process died."""
    resources = {"num_cpus": work.sampling.cpus_per_worker, "num_gpus": work.sampling.gpus_per_worker}
    try:
        row: dict[str, Any] = ray.get(task.options(**resources).remote(work, *arguments))
        return accepted(row)
    except _DEATHS:
        logger.warning("a process died that sampled %s", arguments)
        return None
    except RayTaskError as error:
        raise error.cause from error


@ray.remote(max_retries=0)
def _write(work: Work, output: int, index: int, skipped: Mapping[str, str]) -> dict[str, Any]:
    return answered(lambda: ShardWriter(work).write(output, index, index + 1, skipped))


@ray.remote(max_retries=0)
def _sample(work: Work, output: int, index: int, start: int, stop: int) -> dict[str, Any]:
    folder = work.outputs[output]
    rows = ShardReader().read(folder.prompt_set.shard(index)).slice(start, stop - start)
    draw(work.sampler(), rows, folder.seed)
    return {"survived": True}
