"""Settings against each other and against the task, by the recipe alone."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from ganrnn.data.built_in import KINDS
from ganrnn.data.row_order import RowOrder
from ganrnn.data.scenes import Scene
from ganrnn.errors import BadInput
from ganrnn.task import task_class
from ganrnn.text.captions import meaning_key
from ganrnn.training.gan_config import GanConfig
from pipelines.config.evaluate import MOST_CANDIDATES
from pipelines.config.ingest import IngestConfig
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import check_keys
from pipelines.evaluate.metric_names import Expected, has_prompts_of_dataset
from pipelines.sampling.outputs import output_of
from pipelines.sampling.rhymes import with_rhymes
from pipelines.train.driver import require_judge_and_weight

_MOST_DRAWN = 300  # scenes of the test split, which show what attributes and captions there are


def require_settings(recipe: Recipe) -> None:
    """Raises BadInput for settings of any verb that do not fit the task or each other."""
    check_keys(recipe)
    require_judge_and_weight(recipe)
    with_rhymes(recipe)
    output_of(task_class(recipe.task.name)).require_truncation(recipe.task, recipe.generate.sampling)
    config = recipe.evaluate
    if recipe.name in config.sweep.beside:
        raise BadInput(f"evaluate.sweep.beside holds {recipe.name}, the name of the recipe's own model; choose another")
    if config.molecules and find_spec("rdkit") is None:
        raise BadInput(
            'evaluate.molecules needs rdkit, which is not installed; pip install "ganrnn[molecules]" adds it'
        )
    for key in ("dataset_uri", "checkpoint_uri", "samples_uri", "report_uri"):
        section = {"dataset_uri": recipe.ingest, "checkpoint_uri": recipe.train, "samples_uri": recipe.generate}
        _require_folder(key, getattr(section.get(key, config), key))


def require_data_settings(recipe: Recipe) -> None:
    """Raises BadInput where the data set that ingest is to write does not fit the task, training or evaluation."""
    ingest, task = recipe.ingest, recipe.task
    kind = task_class(task.name).dataset_kind
    if ingest.kind != kind:
        raise BadInput(f"ingest.kind is {ingest.kind}; task.name is {task.name}, which learns from {kind}")
    if isinstance(task, GanConfig):
        task.rows_per_piece(recipe.train.global_batch_size // recipe.train.num_workers)
    if kind != "images":
        return
    for side in ("height", "width"):
        if getattr(task, side) != getattr(ingest, side):
            raise BadInput(
                f"task.{side} is {getattr(task, side)} and ingest.{side} {getattr(ingest, side)}; make them equal"
            )
    if task.name in ("image_to_image", "match_judge") and not ingest.has_sources:
        raise BadInput(
            f"ingest.source_image_column is missing; task.name is {task.name}, whose prompts have a source image"
        )
    scenes = drawn_scenes(recipe)
    if scenes:
        RowOrder([ingest.scenes.num_train], recipe.train.global_batch_size, recipe.train.window_rows, recipe.seed)
        _require_candidates(recipe, scenes)
    _require_columns(recipe, scenes)
    if has_prompts_of_dataset(recipe) and (recipe.generate.since or recipe.generate.where):
        raise BadInput(
            "generate.since and generate.where choose among the partitions of a folder of prompts; give "
            "generate.prompts_uri, since the prompts of the dataset are one file without partitions"
        )


def expected_of(recipe: Recipe) -> Expected:
    """What the recipe says of the data set before it is written."""
    if recipe.ingest.kind != "images":
        return Expected()
    scenes, ingest = drawn_scenes(recipe), recipe.ingest
    num_candidates = recipe.evaluate.num_candidates
    if scenes and not num_candidates:
        num_candidates = min(MOST_CANDIDATES, _num_captions(scenes))
        if num_candidates < MOST_CANDIDATES and len(scenes) < ingest.scenes.num_test:
            num_candidates = None
    attributes = sorted({name for scene in scenes for name in scene.attributes})
    return Expected(
        num_samples=(0, ingest.scenes.num_test if scenes and has_prompts_of_dataset(recipe) else None),
        num_candidates=num_candidates if scenes or num_candidates else MOST_CANDIDATES,
        attributes=tuple(attributes),
        has_sources=ingest.has_sources,
    )


def drawn_scenes(recipe: Recipe) -> Sequence[Scene]:
    """The first scenes of the test split; none where the source is another one."""
    config = recipe.ingest
    if config.source != "scenes" or config.kind != "images":
        return ()
    draw = KINDS[config.scenes.kind].draw
    return list(islice(draw(config.scenes, "test", recipe.seed, config.height, config.width), _MOST_DRAWN))


def _num_captions(scenes: Sequence[Scene]) -> int:
    return len({meaning_key(scene.text, scene.attributes) for scene in scenes})


def _require_candidates(recipe: Recipe, scenes: Sequence[Scene]) -> None:
    """R-precision and the distances, against the number of scenes."""
    config, num_test = recipe.ingest.scenes, recipe.ingest.scenes.num_test
    if task_class(recipe.task.name).output_modality != "images":
        return
    for name in ("num_val", "num_test"):
        if getattr(config, name) < 2:
            raise BadInput(f"ingest.scenes.{name} is {getattr(config, name)}; evaluate needs 2 images of each split")
    most = _num_captions(scenes) if len(scenes) == num_test else num_test
    if (asked := recipe.evaluate.num_candidates) and asked > most:
        raise BadInput(
            f"evaluate.num_candidates is {asked}; the test split has {most} distinct captions, allowed are 2 to {most}"
        )


def _require_columns(recipe: Recipe, scenes: Sequence[Scene]) -> None:
    """Labels and attributes that the task or a grouped evaluation reads have to be in the data set."""
    task, config = recipe.task, recipe.ingest
    attributes = _attributes(config, scenes)
    has_labels = any(scene.label is not None for scene in scenes) or bool(config.label_column)
    condition, group_by = getattr(task, "condition", None), recipe.evaluate.group_by
    if condition == "label" and not has_labels:
        raise BadInput("task.condition is label, and no row of the dataset has one; give ingest.label_column")
    if condition == "attributes" and not attributes:
        raise BadInput("task.condition is attributes, and no row of the dataset has any; give ingest.attribute_columns")
    for name in getattr(task, "numeric_attributes", ()):
        if name not in attributes:
            raise BadInput(f"task.numeric_attributes holds {name!r}; the attributes are {', '.join(attributes)}")
    known = ["text", *(["label"] if has_labels else []), *attributes]
    if group_by and group_by not in known:
        raise BadInput(f"evaluate.group_by is {group_by!r}; the dataset has {', '.join(known)}")


def _attributes(config: IngestConfig, scenes: Sequence[Scene]) -> list[str]:
    drawn = {name for scene in scenes for name in scene.attributes}
    return sorted({*config.attribute_columns, *drawn})


def _require_folder(key: str, uri: Any) -> None:
    """BadInput for a local folder that cannot be made or written to."""
    if "://" in uri:
        return
    path = Path(uri)
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        raise BadInput(f"{key} is {uri}; {path} is a file, and no folder can be made of it")
    if not os.access(path, os.W_OK):
        raise BadInput(f"{key} is {uri}; {path} cannot be written to")
