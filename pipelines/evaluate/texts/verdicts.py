"""Verdicts of a judge against the truth: scores and the page."""

from dataclasses import dataclass

import pyarrow as pa

from pipelines.config.recipe import Recipe
from pipelines.evaluate.texts import judge_metrics
from pipelines.evaluate.texts.protocol import TextProtocol
from pipelines.evaluate.texts.tables import read_tables
from pipelines.formats.evaluation_report import EvaluationReport, Scored
from pipelines.formats.manifest import Manifest
from pipelines.report import page
from pipelines.sampling.sample_source import SampleSource

NUM_SHOWN = 64


@dataclass(frozen=True)
class VerdictEvaluation:
    """Scores, and the verdicts that the page shows."""

    scored: Scored
    samples: pa.Table

    def pages(self, report: EvaluationReport) -> dict[str, bytes]:
        """report.html."""
        html = page.render_verdicts(report, *judge_metrics.shown(self.samples, NUM_SHOWN))
        return {"report.html": html.encode()}


def evaluate_verdicts(recipe: Recipe, manifest: Manifest, source: SampleSource) -> VerdictEvaluation:
    """Score verdicts."""
    tables = read_tables(recipe, manifest, source, ("test",))
    scores = judge_metrics.scores(tables.samples, *tables.task.negative_log_likelihood(tables.rows["test"]))
    scored = Scored(
        metrics=scores.metrics,
        intervals=scores.intervals,
        floors={},
        counts=tables.counts,
        protocol_digest=TextProtocol.of(recipe, source.prompts_digest, tables.counts).digest,
        signatures=scores.signatures,
    )
    return VerdictEvaluation(scored, tables.samples)
