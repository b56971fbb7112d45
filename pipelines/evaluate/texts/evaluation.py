"""The part of evaluate that scores what fits in a table: texts beside what people wrote, verdicts beside the truth."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.code_revision import code_revision
from pipelines.config import Recipe
from pipelines.evaluate.texts import judge_metrics, metrics
from pipelines.evaluate.texts.metrics import Scores
from pipelines.evaluate.texts.temperature_sweep import sweep
from pipelines.formats import prompts
from pipelines.formats.dataset import shard_uris
from pipelines.formats.manifest import Manifest
from pipelines.report import page, plots
from pipelines.sampling import model_files
from pipelines.sampling.decoding_columns import decodings
from pipelines.sampling.sample_source import SampleSource
from pipelines.sampling.sampler import ModelSampler
from pipelines.sampling.samples import draw, samples_table

NUM_SHOWN = 64


def evaluate_tables(
    recipe: Recipe, manifest: Manifest, source: SampleSource
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Score texts or verdicts; returns the content of report.json and the pages by name."""
    files = source.model_files or model_files.fetch_files(recipe.generate.model_uri, recipe.tracking)
    task = checkpoint.load_sampler(files, recipe.generate.model_uri)
    if source.model_digest != task.model_digest:
        raise BadInput(
            f"{recipe.generate.samples_uri} was made by model {source.model_digest[:12]}, "
            f"{recipe.generate.model_uri} holds {task.model_digest[:12]}; generate again"
        )
    samples = _samples(recipe, files, source)
    if not samples.num_rows:
        raise BadInput(f"{recipe.generate.samples_uri} holds no sample; nothing can be scored")
    splits = ("train", "test") if task.output_modality == "texts" else ("test",)
    rows = {split: _rows(recipe, manifest, split, task) for split in splits}
    if task.output_modality == "texts":
        scores, floors = _scores(recipe, task, samples, rows)
    else:
        scores, floors = judge_metrics.scores(samples, *task.negative_log_likelihood(rows["test"])), Scores.none()
    counts = {"samples": samples.num_rows, **_counts(rows)}
    report = _report(recipe, manifest, source.digests(), scores, floors, counts)
    if recipe.evaluate.sweep.temperatures:
        report["sweep"] = sweep(recipe, files, *(rows[split][_written(task)] for split in splits))
    return report, _pages(report, samples, task.output_modality)


def _pages(result: Mapping[str, Any], samples: pa.Table, output_modality: str) -> dict[str, bytes]:
    if output_modality == "scores":
        return {"report.html": page.render_verdicts(result, *judge_metrics.shown(samples, NUM_SHOWN)).encode()}
    columns = [name for name in ("sample_id", "prompt", "text", "reference") if name in samples.column_names]
    plot = plots.draw_sweep(result["sweep"]) if "sweep" in result else None
    html = page.render_texts(result, samples.select(columns).slice(0, NUM_SHOWN).to_pylist(), plot)
    return {"report.html": html.encode()} | ({"quality_diversity.png": plot} if plot else {})


def _samples(recipe: Recipe, files: Mapping[str, bytes], source: SampleSource) -> pa.Table:
    """All samples in one table, stored or sampled now."""
    if source.prompt_set is None:
        return storage.read_table(source.stored_uris)
    config = recipe.generate
    sampler, reader = ModelSampler(files, config.sampling), prompts.ShardReader()
    assert config.seed is not None
    shards = map(source.prompt_set.shard, range(source.prompt_set.num_shards))
    return pa.concat_tables(samples_table(sampler, draw(sampler, reader.read(shard), config.seed)) for shard in shards)


def _rows(recipe: Recipe, manifest: Manifest, split: str, task: Any) -> dict[str, list[str]]:
    uris = shard_uris(recipe.ingest.dataset_uri, manifest, split)
    rows: dict[str, list[str]] = storage.read_table(uris, list(task.input_columns)).to_pydict()
    return rows


def _written(task: Any) -> str:
    """The data set's column that the model learns to write."""
    return "text" if task.dataset_kind == "texts" else "target"


def _counts(rows: Mapping[str, Mapping[str, list[str]]]) -> dict[str, int]:
    return {split: len(next(iter(held.values()))) for split, held in rows.items()}


def _scores(
    recipe: Recipe, task: Any, samples: pa.Table, rows: Mapping[str, Mapping[str, list[str]]]
) -> tuple[Scores, Scores]:
    """Of the samples, and of as many real texts."""
    config = recipe.evaluate
    written = _written(task)
    texts: list[str] = samples.column("text").to_pylist()
    real, training = rows["test"][written], rows["train"][written]
    total, num_tokens = task.negative_log_likelihood(rows["test"])
    parts = [
        Scores(metrics.likelihood(total, num_tokens, sum(map(len, real))), {}, {}),
        metrics.diversity(texts, config, recipe.seed),
        metrics.memorised(texts, training),
    ]
    floors = [metrics.diversity(real, config, recipe.seed), metrics.memorised(real, training)]
    if task.dataset_kind == "pairs" and "reference" in samples.column_names:
        parts.append(metrics.overlap(texts, samples.column("reference").to_pylist(), config))
    rules, _ = decodings(samples, recipe.generate.sampling.decoding)
    if any(rule.constraint == "poem" for rule in rules):
        parts.append(metrics.form(texts, rules))
    if config.molecules:
        parts.append(metrics.chemistry(texts, training, real))
        floors.append(metrics.chemistry(real, training, real))
    lengths = samples.column("num_tokens").to_pylist()
    cost = sum(samples.column("constraint_cost").to_pylist()) / max(1, sum(lengths))
    if any(rule.constraint != "none" for rule in rules):
        parts.append(Scores({"constraint_nats_per_token": cost}, {}, {}))
    return metrics.joined(parts), metrics.joined(floors)


def _report(
    recipe: Recipe,
    manifest: Manifest,
    digests: Mapping[str, Any],
    scores: Scores,
    floors: Scores,
    counts: Mapping[str, int],
) -> dict[str, Any]:
    protocol = [
        asdict(recipe.evaluate) | {"report_uri": "", "num_workers": 0, "from_prompts": False, "sweep": None},
        digests["prompts_digest"],
        dict(counts),
        recipe.seed,
    ]
    return {
        "name": recipe.name,
        "metrics": scores.metrics,
        "intervals": scores.intervals,
        "signatures": scores.signatures,
        "floors": floors.metrics,
        "counts": dict(counts),
        "digests": {**digests, "dataset_digest": manifest.dataset_digest},
        "model_digest": digests["model_digest"],
        "dataset_digest": manifest.dataset_digest,
        "protocol_digest": storage.sha256(json.dumps(protocol, sort_keys=True).encode()),
        "samples_manifest_digest": digests["samples_manifest_digest"],
        "model_uri": recipe.generate.model_uri,
        "seed": {"evaluation": recipe.seed, "generation": recipe.generate.seed},
        "config": recipe.as_dict(),
        "code_revision": code_revision(),
    }
