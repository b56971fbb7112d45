"""What MLflow knows of a model besides its scores, for the report page: how its training went, and the champion."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ganrnn.checkpoint import DESCRIPTION, describe
from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines.config.recipe import Recipe
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.report.page import Champion
from pipelines.sampling import model_files
from pipelines.sampling.outputs import PREVIEW_ZOOM
from pipelines.tracking import registry, runs, tags

Curve = list[tuple[int, float]]
_SAMPLES = "samples"  # the folder of artifacts that pipelines/train/log.py fills
_STEP = re.compile(r"step-(\d+)\.png")
_MOST_STEPS, _NUM_PROMPTS = 12, 4
# As pipelines/train/validation.py names them.
CURVES = ("quick_distance", "quick_diversity", "quick_diversity_given_condition", "quick_spread_given_condition")


def training_curves(recipe: Recipe, model_digest: str) -> dict[str, Curve]:
    """By name, what the guard measured in the training of this model; empty where MLflow does not know the training."""
    run_id = _training_run(recipe, model_digest)
    curves = {name: runs.metric_history(recipe.tracking, run_id, name) for name in CURVES} if run_id else {}
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def training_samples(recipe: Recipe, model_digest: str) -> dict[int, bytes]:
    """By step, the first pictures that the training of this model logged, one below another, as PNG.

    They are for the same prompts and noise at every step. Empty where MLflow does not know the training.
    """
    run_id = _training_run(recipe, model_digest)
    if run_id is None:
        return {}
    chosen = chosen_steps(runs.file_names(recipe.tracking, run_id, _SAMPLES))
    size = recipe.task.height * PREVIEW_ZOOM, recipe.task.width * PREVIEW_ZOOM
    return {
        step: first_pictures(runs.read_file(recipe.tracking, run_id, f"{_SAMPLES}/{name}"), size)
        for step, name in chosen.items()
    }


def chosen_steps(names: Sequence[str]) -> dict[int, str]:
    """By step, at most `_MOST_STEPS` of files step-STEP.png: the first, the last, and those evenly between."""
    by_step = {int(match[1]): match[0] for match in map(_STEP.fullmatch, names) if match}
    steps = sorted(by_step)
    if len(steps) > _MOST_STEPS:
        steps = [steps[round(index * (len(steps) - 1) / (_MOST_STEPS - 1))] for index in range(_MOST_STEPS)]
    return {step: by_step[step] for step in steps}


def first_pictures(sheet: bytes, size: tuple[int, int]) -> bytes:
    """The first pictures, of a size (H, W), of the first row of a sheet, one below another."""
    height, width = size
    row = np.asarray(images.decode(sheet))[:height, : _NUM_PROMPTS * width]
    return images.encode_png(np.concatenate(np.split(row, _NUM_PROMPTS, axis=1)))


def _training_run(recipe: Recipe, model_digest: str) -> str | None:
    """The MLflow run of the training of this model."""
    try:
        with TemporaryDirectory() as scratch:
            folder = model_files.fetch(recipe.generate.model_uri, recipe.tracking, Path(scratch), [DESCRIPTION])
            description = describe((folder / DESCRIPTION).read_bytes(), recipe.generate.model_uri)
    except BadInput:  # samples can be scored without their model
        return None
    identity = description.position.get("identity")
    if description.model_digest != model_digest or not identity:
        return None
    return runs.find_run(recipe.tracking, "train", {"ganrnn.identity": identity})


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
