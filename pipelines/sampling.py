"""A model at work on prompts: fixed-shape micro-batches on one CPU or GPU, whole shards in one table each."""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ganrnn import cpu
from ganrnn.checkpoint import load_sampler
from ganrnn.errors import BadInput
from ganrnn.images import encode_png
from ganrnn.task import Keys, Rows
from pipelines import prompts
from pipelines.config import LEAST_MICRO_BATCH, SamplingConfig
from pipelines.schemas import IMAGE, PROMPT_COLUMNS, SAMPLES, SHARD_NOTES

logger = logging.getLogger(__name__)


class ModelSampler:
    """Loads a model once and samples any number of rows.

    Every micro-batch has the same shape (the last one is filled up and cut), every CPU actor runs one thread a CPU, so
    that a row's sample does not depend on how many rows come with it.
    """

    def __init__(self, files: Mapping[str, bytes], sampling: SamplingConfig) -> None:
        self.num_threads = max(1, int(sampling.cpus_per_worker))
        cpu.prepare(self.num_threads)
        self.task = load_sampler(files)
        self.model_digest: str = self.task.model_digest
        self.micro_batch_size = sampling.micro_batch_size
        self.device = "cuda" if sampling.gpus_per_worker else "cpu"
        self.half = sampling.precision == "bfloat16"
        for network in self.task.networks.values():
            network.to(self.device)

    def sample(self, rows: Rows, keys: Keys) -> tuple[np.ndarray, dict[int, str]]:
        """Pictures uint8 [N, H, W, 3] for prompt columns of N rows and their (seed, sample id) keys [N].

        Rows that the model fails on are found by bisection; they come as row -> reason, their pictures are black. A
        device out of memory halves the micro-batch, for good, down to 8 rows.
        """
        pictures = np.zeros((len(keys), self.task.config.height, self.task.config.width, 3), np.uint8)
        failed: dict[int, str] = {}
        waiting = [(0, len(keys))]
        while waiting:
            start, stop = waiting.pop()
            if stop - start > self.micro_batch_size:
                waiting += [(start + self.micro_batch_size, stop), (start, start + self.micro_batch_size)]
                continue
            try:
                pictures[start:stop] = self._micro_batch({n: c[start:stop] for n, c in rows.items()}, keys[start:stop])
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
        return pictures, failed

    def _micro_batch(self, rows: Rows, keys: Keys) -> np.ndarray:
        """Pictures of at most `micro_batch_size` rows, filled up to just as many with copies of the last."""
        missing = self.micro_batch_size - len(keys)
        filled = {name: [*column, *[column[-1]] * missing] for name, column in rows.items()}
        with torch.autocast(self.device, torch.bfloat16) if self.half else nullcontext():
            images = self.task.sample(filled, [*keys, *[keys[-1]] * missing])
        array: np.ndarray = images[: len(keys)].permute(0, 2, 3, 1).cpu().numpy()
        return array


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
    pictures: np.ndarray
    rejects: dict[str, str]

    @property
    def texts(self) -> Any:
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
    table = table.filter(pa.array([i not in rejects for i in table.column("prompt_id").to_pylist()], pa.bool_()))
    table, ids, seeds = prompts.expand(table, run_seed)
    pictures, failed = sampler.sample(read(sampler, table), list(zip(seeds, ids, strict=True)))
    if failed:
        rejects |= {table.column("prompt_id")[row].as_py(): reason for row, reason in failed.items()}
        kept = [row for row, i in enumerate(table.column("prompt_id").to_pylist()) if i not in rejects]
        table, pictures = table.take(pa.array(kept, pa.int64())), pictures[kept]
        ids, seeds = [ids[row] for row in kept], [seeds[row] for row in kept]
    return Drawn(rows.num_rows, table, ids, seeds, pictures, rejects)


def read(sampler: ModelSampler, table: pa.Table) -> dict[str, list[Any]]:
    """The columns of prompts that the model of a sampler reads."""
    return {name: table.column(name).to_pylist() for name in ("prompt_id", *sampler.task.prompt_columns)}


def samples_table(sampler: ModelSampler, drawn: Drawn) -> pa.Table:
    """The rows of a samples file, in prompt order, with the prompts' further columns passed through.

    Its metadata counts its prompts and lists its rejects.
    """
    with ThreadPoolExecutor(sampler.num_threads) as threads:
        pngs = list(threads.map(encode_png, drawn.pictures))
    unknown = sampler.task.count_unknown(read(sampler, drawn.table))
    columns = {
        "sample_id": pa.array(drawn.sample_ids, pa.string()),
        "prompt_id": drawn.table.column("prompt_id"),
        "seed": pa.array(drawn.seeds, pa.int64()),
        "image": pa.array(
            [{"bytes": png, "path": f"{i}.png"} for png, i in zip(pngs, drawn.sample_ids, strict=True)], IMAGE
        ),
        "prompt": drawn.texts,
        "model_digest": pa.array([sampler.model_digest] * len(unknown), pa.string()),
        "unknown_tokens": pa.array(unknown, pa.int32()),
    }
    fields = list(SAMPLES)
    for name in drawn.table.column_names:
        if name not in columns and name not in PROMPT_COLUMNS:
            columns[name] = drawn.table.column(name)
            fields.append(drawn.table.schema.field(name))
    notes = {"prompts": drawn.num_prompts, "rejects": drawn.rejects, "unknown_tokens": sum(unknown)}
    metadata = {SHARD_NOTES: json.dumps(notes, sort_keys=True, ensure_ascii=False).encode()}
    return pa.table(columns, schema=pa.schema(fields, metadata))
