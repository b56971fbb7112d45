"""Texts against those that people wrote: scores, the page, and the sweep over temperatures."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from ganrnn.metrics.texts.spelling import Spelling
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.texts import metrics
from pipelines.evaluate.texts.metrics import TextScores
from pipelines.evaluate.texts.protocol import TextProtocol
from pipelines.evaluate.texts.tables import Tables, read_tables
from pipelines.evaluate.texts.temperature_sweep import sweep
from pipelines.formats.dataset import shard_uris
from pipelines.formats.evaluation_report import EvaluationReport, Scored
from pipelines.formats.likelihood import LikelihoodProtocol
from pipelines.formats.manifest import Manifest
from pipelines.report import page, plots
from pipelines.sampling.decoding_columns import decodings
from pipelines.sampling.sample_source import SampleSource

NUM_SHOWN = 64


@dataclass(frozen=True)
class TextEvaluation:
    """Scores, and the texts that the page shows."""

    scored: Scored
    samples: pa.Table

    def pages(self, report: EvaluationReport) -> dict[str, bytes]:
        """report.html, and the plot of a sweep if there was one."""
        names = ("sample_id", "prompt", "text", "reference")
        texts = self.samples.select([name for name in names if name in self.samples.column_names])
        plot = plots.draw_sweep(report.sweep) if report.sweep else None
        html = page.render_texts(report, texts.slice(0, NUM_SHOWN).to_pylist(), plot)
        return {"report.html": html.encode()} | ({"quality_diversity.png": plot} if plot else {})


def evaluate_texts(recipe: Recipe, manifest: Manifest, source: SampleSource) -> TextEvaluation:
    """Score texts."""
    tables = read_tables(recipe, manifest, source, ("train", "test"))
    likelihood_scores, likelihood = _likelihood(tables)
    scores, floors = scores_of(recipe, tables, _validation_texts(recipe, manifest, tables))
    scores = metrics.joined([likelihood_scores, scores])
    curves = None
    if recipe.evaluate.sweep.temperatures:
        curves = sweep(recipe, tables.model_files, tables.written("train"), tables.written("test"))
    scored = Scored(
        metrics=scores.metrics,
        intervals=scores.intervals,
        floors=floors.metrics,
        counts=tables.counts,
        protocol_digest=TextProtocol.of(recipe, source.prompts_digest, tables.counts).digest,
        marks=scores.marks or None,
        signatures=scores.signatures,
        sweep=curves,
        likelihood=likelihood,
    )
    return TextEvaluation(scored, tables.samples)


def _likelihood(tables: Tables) -> tuple[TextScores, LikelihoodProtocol]:
    """The scores of the test split's likelihood, and what they were measured on."""
    task, rows = tables.task, tables.rows["test"]
    total, num_tokens = task.negative_log_likelihood(rows, cut_rows_end=False)
    reading, vocabulary = task.reading(rows), task.output_vocabulary
    hidden_nats = Spelling(tables.written("train"), vocabulary.kind).nats(reading.hidden) if reading.hidden else 0.0
    protocol = LikelihoodProtocol(
        given=task.likelihood_given,
        vocabulary_digest=vocabulary.digest,
        window=reading.window,
        num_tokens=num_tokens,
        num_characters=reading.num_characters,
        unknown_share=sum(reading.hidden.values()) / num_tokens,
        num_cut=reading.num_cut,
        num_cut_sources=reading.num_cut_sources,
    )
    return metrics.likelihood(total, num_tokens, reading, hidden_nats), protocol


def _validation_texts(recipe: Recipe, manifest: Manifest, tables: Tables) -> list[str]:
    """Real molecules with which those of the test split are compared, as samples are with the test split."""
    if not recipe.evaluate.molecules:
        return []
    texts: list[str] = storage.read_table(shard_uris(recipe.ingest.dataset_uri, manifest, "val"), [tables.column])[
        0
    ].to_pylist()
    return texts


def scores_of(recipe: Recipe, tables: Tables, other_real: Sequence[str]) -> tuple[TextScores, TextScores]:
    """The other scores of the samples, and of real texts in their place, which no score compares with themselves."""
    config, samples = recipe.evaluate, tables.samples
    texts: list[str] = samples.column("text").to_pylist()
    real, training = tables.written("test"), tables.written("train")
    parts = [
        metrics.diversity(texts, config, recipe.seed),
        metrics.diversity_given_prompt(texts, samples.column("prompt_id").to_pylist(), config),
        metrics.memorised(texts, training, config),
    ]
    floors = [metrics.diversity(real, config, recipe.seed), metrics.memorised(real, training, config)]
    if tables.task.dataset_kind == "pairs" and "reference" in samples.column_names:
        parts.append(metrics.overlap(texts, samples.column("reference").to_pylist(), config))
    rules, _ = decodings(samples, recipe.generate.sampling.decoding)
    if any(rule.constraint == "poem" for rule in rules):
        parts.append(metrics.form(texts, rules))
    if config.molecules:
        parts.append(metrics.chemistry(texts, training, real))
        floors.append(metrics.chemistry(real, training, other_real))
    lengths = samples.column("num_tokens").to_pylist()
    cost = sum(samples.column("constraint_cost").to_pylist()) / max(1, sum(lengths))
    if any(rule.constraint != "none" for rule in rules):
        parts.append(TextScores({"constraint_nats_per_token": cost}))
    return metrics.joined(parts), metrics.joined(floors)
