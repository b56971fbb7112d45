"""Evaluate samples, or prompts and a model, against the reference split: report.json, report.html, contact_sheet.png.

Every score stands next to that of real images, or texts, of the same prompts: what no model can be expected to pass.
"""

from collections.abc import Mapping

from ganrnn.errors import BadInput
from ganrnn.task import task_class
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.evaluation import evaluate_images
from pipelines.evaluate.publish import publish
from pipelines.evaluate.report import build_report
from pipelines.evaluate.texts.evaluation import evaluate_texts
from pipelines.evaluate.texts.verdicts import evaluate_verdicts
from pipelines.evaluate.tracked_context import comparable_champion, training_curves, training_samples
from pipelines.formats.dataset import read_manifest, require_intact_splits
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.manifest import Manifest
from pipelines.sampling.judge import Judge, judge_of
from pipelines.sampling.rhymes import with_rhymes
from pipelines.sampling.sample_source import SampleSource, sample_source

Evaluated = tuple[EvaluationReport, dict[str, bytes]]  # and the pages by name


def evaluate(recipe: Recipe) -> EvaluationReport:
    """Score the recipe's samples and write the report.

    Raises BadInput when the samples, the model or the reference cannot be used, or are not what their manifests state.
    """
    recipe = with_rhymes(recipe)
    manifest = read_manifest(recipe.ingest.dataset_uri)
    check_keys(recipe)
    source = sample_source(recipe)
    require_intact_splits(recipe.ingest.dataset_uri, manifest, ("train", "val", "test"))
    evaluate_samples = _BY_MODALITY[task_class(recipe.task.name).output_modality]
    report, pages = evaluate_samples(recipe, manifest, source)
    publish(recipe, report, pages)
    return report


def _images(recipe: Recipe, manifest: Manifest, source: SampleSource) -> Evaluated:
    evaluation = evaluate_images(recipe, manifest, source, independent_judge(recipe, source.choice))
    report = build_report(recipe, manifest, source, evaluation.scored)
    curves = training_curves(recipe, source.model_digest)
    samples = training_samples(recipe, source.model_digest)
    return report, evaluation.pages(report, curves, samples, comparable_champion(recipe, report))


def _texts(recipe: Recipe, manifest: Manifest, source: SampleSource) -> Evaluated:
    evaluation = evaluate_texts(recipe, manifest, source)
    report = build_report(recipe, manifest, source, evaluation.scored)
    return report, evaluation.pages(report)


def _verdicts(recipe: Recipe, manifest: Manifest, source: SampleSource) -> Evaluated:
    evaluation = evaluate_verdicts(recipe, manifest, source)
    report = build_report(recipe, manifest, source, evaluation.scored)
    return report, evaluation.pages(report)


_BY_MODALITY = {"images": _images, "texts": _texts, "scores": _verdicts}


def check_keys(recipe: Recipe) -> None:
    """BadInput for keys that mean nothing for what the recipe's task gives."""
    config, modality = recipe.evaluate, task_class(recipe.task.name).output_modality
    for key, is_set, required in (
        ("sweep", config.sweep.temperatures, "texts"),
        ("judge_uri", config.judge_uri, "images"),
        ("extractor", config.extractor.weights_uri, "images"),
        ("group_by", config.group_by, "images"),
        ("features_uri", config.features_uri, "images"),
    ):
        if is_set and modality != required:
            raise BadInput(f"evaluate.{key} is for tasks that give {required}; {recipe.task.name} gives {modality}")


def independent_judge(recipe: Recipe, choice: Mapping[str, str | int | float] | None) -> Judge | None:
    """The judge whose scores count, if there is one; BadInput if it has taught the generator or chosen samples."""
    if not (uri := recipe.evaluate.judge_uri):
        return None
    judge = judge_of(recipe, uri, "evaluate.judge_uri", recipe.task)
    taught_by = recipe.train.judge_uri and judge_of(recipe, recipe.train.judge_uri, "train.judge_uri", recipe.task)
    for digest, reason in (
        (taught_by and taught_by.digest, "the generator has learnt from it"),
        ((choice or {}).get("judge_digest"), "it has chosen the samples"),
    ):
        if digest == judge.digest:
            raise BadInput(f"evaluate.judge_uri {uri} cannot count: {reason}; train one with another seed")
    return judge
