"""Samples of prompt rows as the rows of a samples file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.formats import prompts, schemas
from pipelines.formats.prompt_schema import has_large_seeds
from pipelines.sampling.sampler import ModelSampler


@dataclass(frozen=True)
class Samples:
    """The samples of `num_prompts` prompt rows.

    table:                      the prompt's row of each sample
    sample_ids, seeds, outputs: of each sample
    rejects:                    prompt id -> reason, of prompts without samples
    match_scores:               of each sample, where a judge has chosen
    """

    num_prompts: int
    table: pa.Table
    sample_ids: list[str]
    seeds: list[int]
    outputs: list[Any]
    rejects: dict[str, str]
    match_scores: list[float] | None = None

    @property
    def prompts(self) -> Any:
        """The column `prompt`, empty where the prompts have none."""
        if "prompt" in self.table.column_names:
            return self.table.column("prompt")
        return pa.nulls(self.table.num_rows, pa.string())


def draw(sampler: ModelSampler, rows: pa.Table, run_seed: int, skipped: Mapping[str, str] | None = None) -> Samples:
    """Sample prompt rows, except empty ones, those `skipped` (prompt id -> reason), and those the model fails on.

    A prompt gets all of its samples or none.
    """
    columns = sampler.task.prompt_columns
    table, rejects = prompts.sampled(rows, columns)
    rejects |= skipped or {}
    rejects |= sampler.output.rejects(table, sampler.sampling)
    if "label" in columns:
        rejects |= _unknown_labels(sampler, table)
    table = table.filter(pa.array([i not in rejects for i in table.column("prompt_id").to_pylist()], pa.bool_()))
    table, ids, seeds = prompts.expand(table, run_seed)
    columns_of_rows = read(sampler, table) | sampler.output.settings(table, ids, sampler.sampling)
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
    return Samples(rows.num_rows, table, ids, seeds, outputs, rejects, scores)


def _unknown_labels(sampler: ModelSampler, table: pa.Table) -> dict[str, str]:
    """Prompts for a class that training has not seen, which is a mistake where an unknown word is none."""
    counts = sampler.task.count_unknown(read(sampler, table))
    rows = zip(table.column("prompt_id").to_pylist(), table.column("label").to_pylist(), counts, strict=True)
    return {prompt_id: f"label {label} is in no training row" for prompt_id, label, count in rows if count}


def read(sampler: ModelSampler, table: pa.Table) -> dict[str, list[Any]]:
    """The columns of prompts that the model of a sampler reads."""
    optional = [name for name in sampler.task.optional_columns if name in table.column_names]
    names = ("prompt_id", *sampler.task.prompt_columns, *optional)
    return {name: table.column(name).to_pylist() for name in names}


def samples_table(sampler: ModelSampler, samples: Samples) -> pa.Table:
    """The rows of a samples file, in prompt order, with the prompts' further columns passed through.

    Its metadata counts its prompts and lists its rejects.
    """
    unknown = sampler.task.count_unknown(read(sampler, samples.table))
    columns = {
        "sample_id": pa.array(samples.sample_ids, pa.string()),
        "prompt_id": samples.table.column("prompt_id"),
        "seed": pa.array(samples.seeds, pa.uint64() if has_large_seeds(samples.table.schema) else pa.int64()),
        "prompt": samples.prompts,
        "model_digest": pa.array([sampler.model_digest] * len(unknown), pa.string()),
        "unknown_tokens": pa.array(unknown, pa.int32()),
    }
    columns |= sampler.output.columns(samples.outputs, samples.sample_ids, sampler.num_threads)
    fields = [
        field.with_type(columns["seed"].type) if field.name == "seed" else field for field in sampler.output.schema
    ]
    if samples.match_scores is not None:
        columns["match_score"] = pa.array(samples.match_scores, pa.float32())
        fields.append(schemas.MATCH_SCORE)
    for name in samples.table.column_names:
        if name not in columns and name not in schemas.PROMPT_COLUMNS:
            columns[name] = samples.table.column(name)
            fields.append(samples.table.schema.field(name))
    notes = {"prompts": samples.num_prompts, "rejects": samples.rejects, "unknown_tokens": sum(unknown)}
    metadata = {schemas.SHARD_NOTES: json.dumps(notes, sort_keys=True, ensure_ascii=False).encode()}
    return pa.table(columns, schema=pa.schema(fields, metadata))
