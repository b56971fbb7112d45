"""Who chooses among candidates: how well a picture fits its prompt decides which is kept, and whether any is."""

from typing import Any

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import model
from pipelines.chooser import Chooser
from pipelines.config import Recipe


def chooser_of(recipe: Recipe, task: Any) -> Chooser | None:
    """That of a recipe whose model is `task`, if it has one; BadInput where the two do not belong together."""
    config = recipe.generate.choice
    if not config.judge_uri:
        return None
    files = model.fetch_files(config.judge_uri, recipe.tracking)
    judge = checkpoint.load_sampler(files, config.judge_uri)
    if judge.gives != "scores":
        raise BadInput(f"generate.choice.judge_uri {config.judge_uri} gives {judge.gives}; allowed is a match_judge")
    if task.gives != "images" or "prompt" not in task.prompt_columns:
        raise BadInput("generate.choice is for pictures that are made from words; this model makes others, or none")
    seen, painted = ((one.config.height, one.config.width) for one in (judge, task))
    if seen != painted:
        raise BadInput(
            f"generate.choice.judge_uri {config.judge_uri} judges pictures of {seen[0]} x {seen[1]} pixels; "
            f"the model paints {painted[0]} x {painted[1]}"
        )
    return Chooser(files, judge.model_digest, config)
