"""Shards on which an actor has died more than once: a prompt kills the process, or memory does not suffice.

Each attempt runs in a process of its own: the whole shard first, then with the least micro-batch; then halves are tried
until the prompts that kill are found, and the shard is written without them.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ganrnn.errors import BadInput
from pipelines.cluster.runner import Runner, WorkerDied
from pipelines.config.sampling import LEAST_MICRO_BATCH
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import ShardRange, Work
from pipelines.generate.receipts import Receipt
from pipelines.generate.worker import ShardWriter
from pipelines.sampling.samples import draw

logger = logging.getLogger(__name__)

# So often a worker that does not die fails with the same words before they are told as the reason.
_EQUAL_FAILURES = 3
_MOST_FAILURES = 6  # of any words

T = TypeVar("T")


@dataclass(frozen=True)
class IsolatedShard:
    """One shard of a job, sampled by processes that may die."""

    runner: Runner
    work: Work
    output: int
    index: int

    def write(self) -> Receipt:
        """Write the shard, whatever is in it. Raises RuntimeError where the process dies on every attempt."""
        receipt = self._write_whole({}) or self._write_whole(
            dict.fromkeys(self._find_deadly_prompts(), "the sampler's process dies on it")
        )
        if receipt is None:
            uri = self.work.outputs[self.output].shard_uri(self.index)
            raise RuntimeError(f"{uri}: the process dies on every attempt to sample it")
        return receipt

    def _write_whole(self, skipped: Mapping[str, str]) -> Receipt | None:
        """None where the process died, with the given micro-batch and with the least."""
        shard = ShardRange(self.output, self.index, self.index + 1)
        receipts = self._attempt(_write, self.work, shard, skipped) or self._attempt(
            _write, self._smallest(), shard, skipped
        )
        return receipts[0] if receipts else None

    def _find_deadly_prompts(self) -> list[str]:
        """The ids of the prompts on which a process dies twice."""
        shard = self.work.outputs[self.output].prompt_set.shard(self.index)
        work = self._smallest()
        deadly: list[str] = []
        waiting = [(0, shard.num_rows)]
        while waiting:
            start, stop = waiting.pop()
            if self._attempt(_sample, work, self.output, self.index, start, stop):
                continue
            if stop - start > 1:
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]
            elif not self._attempt(_sample, work, self.output, self.index, start, stop):  # once may have been the node
                deadly.append(ShardReader().read(shard).column("prompt_id")[start].as_py())
        return deadly

    def _smallest(self) -> Work:
        """The job with the least micro-batch, which takes the least memory."""
        return replace(self.work, sampling=replace(self.work.sampling, micro_batch_size=LEAST_MICRO_BATCH))

    def _attempt(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """What a function in a process of its own returns; None where the process died.

        Raises BadInput for a failure that repeats itself: no machine is at fault, and none would do better.
        """
        failures = Counter[str]()
        while True:
            try:
                return self.runner.run(function, *arguments, workers=replace(self.work.workers, num_workers=1))
            except WorkerDied:
                logger.warning("a process died that sampled shard %d of output %d", self.index, self.output)
                return None
            except BadInput:
                raise
            except Exception as error:  # whatever a worker may raise
                failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
                failures[failure] += 1
                if failures[failure] == _EQUAL_FAILURES:
                    uri = self.work.outputs[self.output].shard_uri(self.index)
                    raise BadInput(
                        f"{uri} cannot be made; it failed {_EQUAL_FAILURES} times in the same way: {failure}"
                    ) from error
                if failures.total() == _MOST_FAILURES:
                    raise


def _write(work: Work, shard: ShardRange, skipped: Mapping[str, str]) -> list[Receipt]:
    return ShardWriter(work).write(shard, skipped)


def _sample(work: Work, output_number: int, index: int, start: int, stop: int) -> bool:
    output = work.outputs[output_number]
    rows = ShardReader().read(output.prompt_set.shard(index)).slice(start, stop - start)
    draw(work.sampler(), rows, output.seed)
    return True
