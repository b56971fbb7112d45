"""The part of a report that evaluations of images, texts and verdicts have alike."""

from collections.abc import Mapping

from pipelines.code_revision import code_revision
from pipelines.config import Recipe
from pipelines.formats.evaluation_report import EvaluationReport, Intervals, Metrics
from pipelines.formats.manifest import Manifest
from pipelines.sampling.sample_source import SampleSource


def build_report(
    recipe: Recipe,
    manifest: Manifest,
    source: SampleSource,
    metrics: Metrics,
    intervals: Intervals,
    floors: Metrics,
    counts: Mapping[str, int],
    protocol_digest: str,
    judge_digest: str | None = None,
) -> EvaluationReport:
    """Scores of `source` against the data set of `manifest`; `judge_digest` is that of a judge that counts."""
    judge = {"judge_digest": judge_digest} if judge_digest else {}
    return EvaluationReport(
        name=recipe.name,
        metrics=metrics,
        intervals=intervals,
        floors=floors,
        counts=counts,
        digests={**source.digests(), **judge, "dataset_digest": manifest.dataset_digest},
        model_digest=source.model_digest,
        dataset_digest=manifest.dataset_digest,
        protocol_digest=protocol_digest,
        samples_manifest_digest=source.manifest_digest,
        model_uri=recipe.generate.model_uri,
        seed={"evaluation": recipe.seed, "generation": recipe.generate.seed},
        config=recipe.as_dict(),
        code_revision=code_revision(),
    )
