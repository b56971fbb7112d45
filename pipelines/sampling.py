"""A model at work on prompts: micro-batches on one CPU or GPU, whole shards in one table each."""

import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from ganrnn import cpu
from ganrnn.checkpoint import load_sampler
from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from ganrnn.task import Keys, Rows
from pipelines import prompts, schemas
from pipelines.chooser import Chooser
from pipelines.config import LEAST_MICRO_BATCH, SamplingConfig
from pipelines.decoding_columns import decodings

logger = logging.getLogger(__name__)

_SCORE_DIGITS = 4  # so that rounding elsewhere seldom shows


class ModelSampler:
    """Loads a model once and samples any number of rows.

    Every micro-batch of pictures has the same shape (the last one is filled up and cut), every CPU actor runs one
    thread a CPU, so that a row's sample does not depend on how many rows come with it. Texts are written by sums that
    are exact, whatever the shape. With a `chooser` it makes candidates, of which a judge keeps the best.
    """

    def __init__(self, files: Mapping[str, bytes], sampling: SamplingConfig, chooser: Chooser | None = None) -> None:
        self.num_threads = max(1, int(sampling.cpus_per_worker))
        cpu.prepare(self.num_threads)
        self.task = load_sampler(files)
        self.model_digest: str = self.task.model_digest
        self.sampling, self.micro_batch_size = sampling, sampling.micro_batch_size
        self.device = "cuda" if sampling.gpus_per_worker else "cpu"
        self.half = sampling.precision == "bfloat16"
        self.chooser, self.judge = chooser, ModelSampler(chooser.files, sampling) if chooser else None
        for network in self.task.networks.values():
            network.to(self.device)

    def sample(self, rows: Rows, keys: Keys) -> tuple[list[Any], dict[int, str]]:
        """Pictures uint8 [H, W, 3], texts or scores for prompt columns of N rows and their (seed, sample id) keys [N].

        Rows that the model fails on are found by bisection; they come as row -> reason, their outputs are None. A
        device out of memory halves the micro-batch, for good, down to 8 rows.
        """
        outputs: list[Any] = [None] * len(keys)
        failed: dict[int, str] = {}
        waiting = [(0, len(keys))]
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
        if self.task.gives == "texts":
            failed |= {row: written.problem for row, written in enumerate(outputs) if written and written.problem}
        return outputs, failed

    def _micro_batch(self, rows: Rows, keys: Keys) -> Sequence[Any]:
        """Outputs of at most `micro_batch_size` rows; but for texts they are always so many, the last repeated."""
        if self.task.gives == "texts":
            texts: Sequence[Any] = self.task.sample(rows, keys)
            return texts
        missing = self.micro_batch_size - len(keys)
        filled = {name: [*column, *[column[-1]] * missing] for name, column in rows.items()}
        with torch.autocast(self.device, torch.bfloat16) if self.half else nullcontext():
            made = self.task.sample(filled, [*keys, *[keys[-1]] * missing])[: len(keys)].cpu()
        if self.task.gives == "images":
            pictures: Sequence[Any] = made.permute(0, 2, 3, 1).numpy()
            return pictures
        return [round(score, _SCORE_DIGITS) for score in made.tolist()]

    def sample_best(self, rows: Rows, keys: Keys) -> tuple[list[Any], list[float], dict[int, str]]:
        """As `sample`, of several candidates those that the judge scores highest, with their scores.

        Of equals the first is kept. The noise of the first candidate is that of a sample without a choice.
        """
        assert self.chooser and self.judge
        config, failed = self.chooser.config, dict[int, str]()
        outputs: list[Any] = [None] * len(keys)
        scores = [-1.0] * len(keys)
        for number in range(config.num_candidates):
            own = [(seed, f"{name}#{number}" if number else name) for seed, name in keys]
            made, problems = self.sample(rows, own)
            there = [row for row in range(len(keys)) if row not in problems]
            asked = {
                "prompt": [rows["prompt"][row] for row in there],
                "source_image": [{"bytes": encode_png(made[row])} for row in there],
            }
            found, unjudged = self.judge.sample(asked, [own[row] for row in there])
            failed |= problems | {there[place]: reason for place, reason in unjudged.items()}
            for row, score in zip(there, found, strict=True):
                if score is not None and score > scores[row]:
                    outputs[row], scores[row] = made[row], score
        for row, score in enumerate(scores):
            if row not in failed and score < config.least_score:
                failed[row] = (
                    f"match_score {score:.4f} is below {config.least_score}, the best of {config.num_candidates}"
                )
        return outputs, scores, failed


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or this process has no memory left; torch has no type of its own for the latter."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@dataclass(frozen=True)
class Drawn:
    """What a sampler made of some prompt rows: one row a sample, and the prompt ids without samples -> reason."""

    num_prompts: int
    table: pa.Table
    sample_ids: list[str]
    seeds: list[int]
    outputs: list[Any]
    rejects: dict[str, str]
    match_scores: list[float] | None = None  # where a judge has chosen

    @property
    def prompts(self) -> Any:
        """The column `prompt`, empty where the prompts have none."""
        if "prompt" in self.table.column_names:
            return self.table.column("prompt")
        return pa.nulls(self.table.num_rows, pa.string())


def draw(sampler: ModelSampler, rows: pa.Table, run_seed: int, skipped: Mapping[str, str] | None = None) -> Drawn:
    """Sample prompt rows, but those that are empty, those `skipped` (prompt id -> reason), those the model fails on.

    A prompt has all of its samples or none.
    """
    columns = sampler.task.prompt_columns
    table, empty = prompts.sampled(rows, columns)
    rejects = dict.fromkeys(empty, f"the {' or '.join(columns)} is empty") | dict(skipped or {})
    if sampler.task.gives == "texts":
        rejects |= decodings(table, sampler.sampling.decoding)[1]
    table = table.filter(pa.array([i not in rejects for i in table.column("prompt_id").to_pylist()], pa.bool_()))
    table, ids, seeds = prompts.expand(table, run_seed)
    columns_of_rows = read(sampler, table)
    if sampler.task.gives == "texts":
        numbers = [int(i.rsplit("/", 1)[1]) for i in ids]
        columns_of_rows["decoding"] = decodings(table, sampler.sampling.decoding, numbers)[0]
    keys, scores = list(zip(seeds, ids, strict=True)), None
    if sampler.judge:
        outputs, scores, failed = sampler.sample_best(columns_of_rows, keys)
    else:
        outputs, failed = sampler.sample(columns_of_rows, keys)
    if failed:
        rejects |= {table.column("prompt_id")[row].as_py(): reason for row, reason in failed.items()}
        kept = [row for row, i in enumerate(table.column("prompt_id").to_pylist()) if i not in rejects]
        table, outputs = table.take(pa.array(kept, pa.int64())), [outputs[row] for row in kept]
        ids, seeds = [ids[row] for row in kept], [seeds[row] for row in kept]
        scores = scores and [scores[row] for row in kept]
    return Drawn(rows.num_rows, table, ids, seeds, outputs, rejects, scores)


def read(sampler: ModelSampler, table: pa.Table) -> dict[str, list[Any]]:
    """The columns of prompts that the model of a sampler reads."""
    optional = [name for name in sampler.task.optional_columns if name in table.column_names]
    names = ("prompt_id", *sampler.task.prompt_columns, *optional)
    return {name: table.column(name).to_pylist() for name in names}


def samples_table(sampler: ModelSampler, drawn: Drawn) -> pa.Table:
    """The rows of a samples file, in prompt order, with the prompts' further columns passed through.

    Its metadata counts its prompts and lists its rejects.
    """
    unknown = sampler.task.count_unknown(read(sampler, drawn.table))
    columns = {
        "sample_id": pa.array(drawn.sample_ids, pa.string()),
        "prompt_id": drawn.table.column("prompt_id"),
        "seed": pa.array(drawn.seeds, pa.int64()),
        "prompt": drawn.prompts,
        "model_digest": pa.array([sampler.model_digest] * len(unknown), pa.string()),
        "unknown_tokens": pa.array(unknown, pa.int32()),
    }
    columns |= {"images": _pictures, "texts": _texts, "scores": _scores}[sampler.task.gives](sampler, drawn)
    fields = list(schemas.samples(sampler.task.gives))
    if drawn.match_scores is not None:
        columns["match_score"] = pa.array(drawn.match_scores, pa.float32())
        fields.append(schemas.MATCH_SCORE)
    for name in drawn.table.column_names:
        if name not in columns and name not in schemas.PROMPT_COLUMNS:
            columns[name] = drawn.table.column(name)
            fields.append(drawn.table.schema.field(name))
    notes = {"prompts": drawn.num_prompts, "rejects": drawn.rejects, "unknown_tokens": sum(unknown)}
    metadata = {schemas.SHARD_NOTES: json.dumps(notes, sort_keys=True, ensure_ascii=False).encode()}
    return pa.table(columns, schema=pa.schema(fields, metadata))


def _pictures(sampler: ModelSampler, drawn: Drawn) -> dict[str, pa.Array]:
    with ThreadPoolExecutor(sampler.num_threads) as threads:
        pngs = list(threads.map(encode_png, drawn.outputs))
    held = [{"bytes": png, "path": f"{i}.png"} for png, i in zip(pngs, drawn.sample_ids, strict=True)]
    return {"image": pa.array(held, schemas.IMAGE)}


def _scores(sampler: ModelSampler, drawn: Drawn) -> dict[str, pa.Array]:
    return {"match_score": pa.array(drawn.outputs, pa.float32())}


def _texts(sampler: ModelSampler, drawn: Drawn) -> dict[str, pa.Array]:
    return {
        "text": pa.array([written.text for written in drawn.outputs], pa.string()),
        "num_tokens": pa.array([len(written.tokens) for written in drawn.outputs], pa.int32()),
        "log_probability": pa.array([written.log_probability for written in drawn.outputs], pa.float64()),
        "constraint_cost": pa.array([written.constraint_cost for written in drawn.outputs], pa.float64()),
        "finish": pa.array([written.finish for written in drawn.outputs], pa.string()),
    }
