"""Samples of prompt rows as the rows of a samples file."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ganrnn.data.images import encode_png
from pipelines.formats import prompts, schemas
from pipelines.sampling.decoding_columns import decodings
from pipelines.sampling.sampler import ModelSampler


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
    if sampler.task.output_modality == "texts":
        rejects |= decodings(table, sampler.sampling.decoding)[1]
    table = table.filter(pa.array([i not in rejects for i in table.column("prompt_id").to_pylist()], pa.bool_()))
    table, ids, seeds = prompts.expand(table, run_seed)
    columns_of_rows = read(sampler, table)
    if sampler.task.output_modality == "texts":
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
    columns |= {"images": _pictures, "texts": _texts, "scores": _scores}[sampler.task.output_modality](sampler, drawn)
    fields = list(schemas.samples(sampler.task.output_modality))
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
