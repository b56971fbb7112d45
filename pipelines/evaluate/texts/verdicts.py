"""Verdicts of a judge against the truth: scores and the page."""

from dataclasses import replace

from pipelines.config import Recipe
from pipelines.evaluate.report import build_report
from pipelines.evaluate.texts import judge_metrics
from pipelines.evaluate.texts.protocol import TextProtocol
from pipelines.evaluate.texts.tables import read_tables
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.manifest import Manifest
from pipelines.report import page
from pipelines.sampling.sample_source import SampleSource

NUM_SHOWN = 64


def evaluate_verdicts(
    recipe: Recipe, manifest: Manifest, source: SampleSource
) -> tuple[EvaluationReport, dict[str, bytes]]:
    """Score verdicts; returns the report and the pages by name."""
    tables = read_tables(recipe, manifest, source, ("test",))
    scores = judge_metrics.scores(tables.samples, *tables.task.negative_log_likelihood(tables.rows["test"]))
    report = build_report(
        recipe,
        manifest,
        source,
        metrics=scores.metrics,
        intervals=scores.intervals,
        floors={},
        counts=tables.counts,
        protocol_digest=TextProtocol.of(recipe, source.prompts_digest, tables.counts).digest,
    )
    report = replace(report, signatures=scores.signatures)
    html = page.render_verdicts(report, *judge_metrics.shown(tables.samples, NUM_SHOWN))
    return report, {"report.html": html.encode()}
