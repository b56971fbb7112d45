"""A model at work on prompts: micro-batches on one CPU or GPU, whole shards in one table each."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from ganrnn import cpu
from ganrnn.checkpoint import load_sampler
from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from ganrnn.task import Keys, Rows
from pipelines.config.sampling import LEAST_MICRO_BATCH, SamplingConfig
from pipelines.sampling.judge import Chooser
from pipelines.sampling.outputs import output_of

logger = logging.getLogger(__name__)


class ModelSampler:
    """Loads a model once and samples any number of rows.

    Every micro-batch of pictures has the same shape (the last one is filled up and cut), every CPU actor runs one
    thread a CPU, so that a row's sample does not depend on how many rows come with it. Texts are written by sums that
    are exact, whatever the shape. With a `chooser` it samples several candidates, of which a judge keeps the best.
    """

    def __init__(self, files: Mapping[str, bytes], sampling: SamplingConfig, chooser: Chooser | None = None) -> None:
        self.num_threads = max(1, int(sampling.cpus_per_worker))
        cpu.prepare(self.num_threads)
        self.task = load_sampler(files)
        self.output = output_of(self.task)
        self.model_digest: str = self.task.model_digest
        self.sampling, self.micro_batch_size = sampling, sampling.micro_batch_size
        self.device = "cuda" if sampling.gpus_per_worker else "cpu"
        self.half = sampling.precision == "bfloat16"
        self.chooser, self.judge = chooser, ModelSampler(chooser.judge.files, sampling) if chooser else None
        for network in self.task.networks.values():
            network.to(self.device)

    def sample(self, rows: Rows, keys: Keys) -> tuple[list[Any], dict[int, str]]:
        """A value for each of N rows, from prompt columns and (seed, sample id) keys [N]; row -> reason of failures.

        Bisection isolates the rows that the model fails on; their values are None. If the device runs out of
        memory, the micro-batch is halved for the rest of the run, down to 8 rows.
        """
        outputs: list[Any] = [None] * len(keys)
        failed: dict[int, str] = {}
        waiting = [(0, len(keys))] if keys else []
        while waiting:
            start, stop = waiting.pop()
            if stop - start > self.micro_batch_size:
                waiting += [(start + self.micro_batch_size, stop), (start, start + self.micro_batch_size)]
                continue
            try:
                outputs[start:stop] = self._micro_batch({n: c[start:stop] for n, c in rows.items()}, keys[start:stop])
            except Exception as error:  # whatever a prompt may do to a model
                if is_out_of_memory(error) and self.micro_batch_size > LEAST_MICRO_BATCH:
                    self.micro_batch_size = max(LEAST_MICRO_BATCH, self.micro_batch_size // 16 * 8)
                    logger.warning("out of memory: sampling.micro_batch_size is %d from here", self.micro_batch_size)
                    waiting.append((start, stop))
                elif stop - start > 1:
                    middle = (start + stop) // 2
                    waiting += [(middle, stop), (start, middle)]
                else:
                    reason = " ".join(str(error).split())
                    if not isinstance(error, BadInput):
                        reason = f"the model fails on it: {type(error).__name__}: {reason}"
                    failed[start] = reason
        return outputs, failed | self.output.problems(outputs)

    def _micro_batch(self, rows: Rows, keys: Keys) -> Sequence[Any]:
        """Outputs of at most `micro_batch_size` rows; unless they are exact, always so many, the last repeated."""
        if self.output.is_exact:
            return self.output.values(self.task.sample(rows, keys))
        with torch.autocast(self.device, torch.bfloat16) if self.half else nullcontext():
            outputs = self.task.sample(*self._filled(rows, keys))
        return self.output.values(outputs[: len(keys)].cpu())

    def _filled(self, rows: Rows, keys: Keys) -> tuple[Rows, Keys]:
        """`micro_batch_size` rows: the last one repeated."""
        missing = self.micro_batch_size - len(keys)
        filled = {name: [*column, *[column[-1]] * missing] for name, column in rows.items()}
        return filled, [*keys, *[keys[-1]] * missing]

    def sample_between(self, rows: Rows, keys: Keys, to_rows: Rows, to_keys: Keys, share: float) -> list[Any]:
        """Pictures of N rows at a share of the way to others, in micro-batches as those of `sample`."""
        pictures: list[Any] = []
        for start in range(0, len(keys), self.micro_batch_size):
            piece = slice(start, start + self.micro_batch_size)
            start_and_end = [
                each
                for columns, names in ((rows, keys), (to_rows, to_keys))
                for each in self._filled({name: column[piece] for name, column in columns.items()}, names[piece])
            ]
            outputs = self.task.sample_between(*start_and_end, share)
            pictures += self.output.values(outputs[: len(keys[piece])].cpu())
        return pictures

    def sample_best(self, rows: Rows, keys: Keys) -> tuple[list[Any], list[float], dict[int, str]]:
        """As `sample`, of several candidates those that the judge scores highest, with their scores.

        Of equals the first is kept. The noise of the first candidate is that of a sample without a choice.
        """
        assert self.chooser and self.judge
        config, failed = self.chooser.config, dict[int, str]()
        outputs: list[Any] = [None] * len(keys)
        scores = [-1.0] * len(keys)
        for number in range(config.num_candidates):
            candidate_keys = [(seed, f"{name}#{number}" if number else name) for seed, name in keys]
            candidates, problems = self.sample(rows, candidate_keys)
            sampled = [row for row in range(len(keys)) if row not in problems]
            statements = {
                "prompt": [rows["prompt"][row] for row in sampled],
                "source_image": [{"bytes": encode_png(candidates[row])} for row in sampled],
            }
            match_scores, unjudged = self.judge.sample(statements, [candidate_keys[row] for row in sampled])
            failed |= problems | {sampled[index]: reason for index, reason in unjudged.items()}
            for row, score in zip(sampled, match_scores, strict=True):
                if score is not None and score > scores[row]:
                    outputs[row], scores[row] = candidates[row], score
        for row, score in enumerate(scores):
            if row not in failed and score < config.least_score:
                failed[row] = (
                    f"match_score {score:.4f} is below {config.least_score}, the best of {config.num_candidates}"
                )
        return outputs, scores, failed


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or this process has no memory left; torch has no type of its own for the latter."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
