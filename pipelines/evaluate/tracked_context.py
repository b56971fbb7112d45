"""What MLflow knows of a model besides its scores, for the report page: how its training went, and the champion."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ganrnn.checkpoint import DESCRIPTION, describe
from ganrnn.errors import BadInput
from pipelines.config.recipe import Recipe
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.report.page import Champion
from pipelines.sampling import model_files
from pipelines.tracking import registry, runs, tags

Curve = list[tuple[int, float]]
CURVES = ("quick_distance", "quick_diversity")  # as pipelines/train/validation.py names them


def training_curves(recipe: Recipe, model_digest: str) -> dict[str, Curve]:
    """By name, what the guard measured in the training of this model; empty where MLflow does not know the training."""
    try:
        with TemporaryDirectory() as scratch:
            folder = model_files.fetch(recipe.generate.model_uri, recipe.tracking, Path(scratch), [DESCRIPTION])
            description = describe((folder / DESCRIPTION).read_bytes(), recipe.generate.model_uri)
    except BadInput:  # samples can be scored without their model
        return {}
    identity = description.position.get("identity")
    if description.model_digest != model_digest or not identity:
        return {}
    run_id = runs.find_run(recipe.tracking, "train", {"ganrnn.identity": identity})
    curves = {name: runs.metric_history(recipe.tracking, run_id, name) for name in CURVES} if run_id else {}
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def comparable_champion(recipe: Recipe, report: EvaluationReport) -> Champion | None:
    """None where there is no champion, it is this model, or its scores have another data set or protocol."""
    version = registry.find_alias(recipe.tracking, recipe.promote.registered_model, "champion")
    if version is None or version.tags.get(tags.MODEL) == report.model_digest:
        return None
    same = {tags.DATASET: report.dataset_digest, tags.PROTOCOL: report.protocol_digest}
    if any(version.tags.get(tag) != digest for tag, digest in same.items()):
        return None
    start = len(tags.METRIC)
    metrics = {tag[start:]: float(value) for tag, value in version.tags.items() if tag.startswith(tags.METRIC)}
    return Champion(version.version, metrics)
