"""The report of an evaluation, from its scores and from where the samples come."""

from pipelines.code_revision import code_revision
from pipelines.config.recipe import Recipe
from pipelines.formats.evaluation_report import EvaluationReport, Scored
from pipelines.formats.manifest import Manifest
from pipelines.sampling.sample_source import SampleSource


def build_report(recipe: Recipe, manifest: Manifest, source: SampleSource, scored: Scored) -> EvaluationReport:
    """Scores of `source` against the data set of `manifest`, with all that they depend on."""
    judge = {"judge_digest": scored.judge_digest} if scored.judge_digest else {}
    return EvaluationReport(
        name=recipe.name,
        metrics=scored.metrics,
        intervals=scored.intervals,
        floors=scored.floors,
        counts=scored.counts,
        digests={**source.digests(), **judge, "dataset_digest": manifest.dataset_digest},
        model_digest=source.model_digest,
        dataset_digest=manifest.dataset_digest,
        protocol_digest=scored.protocol_digest,
        samples_manifest_digest=source.manifest_digest,
        model_uri=recipe.generate.model_uri,
        seed={"evaluation": recipe.seed, "generation": recipe.generate.seed},
        config=recipe.as_dict(),
        code_revision=code_revision(),
        marks=scored.marks,
        does_not_separate=scored.does_not_separate,
        extractors=scored.extractors,
        groups=scored.groups,
        signatures=scored.signatures,
        sweep=scored.sweep,
        likelihood=scored.likelihood,
    )
