"""Who judges pictures while others paint: checked, with the files that workers need."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines.config import ChoiceConfig, Recipe
from pipelines.sampling import model_files


@dataclass(frozen=True)
class Chooser:
    """The judge's files, and how it is asked."""

    files: Mapping[str, bytes]
    digest: str
    config: ChoiceConfig

    def plan(self) -> dict[str, Any]:
        """What samples are a function of."""
        asked = {name: value for name, value in asdict(self.config).items() if name != "judge_uri"}
        return {"judge_digest": self.digest, **asked}


def judge_of(recipe: Recipe, uri: str, place: str, config: Any) -> tuple[dict[str, bytes], str]:
    """The files and the digest of a judge for a model of `config`; BadInput that names `place` where it is no such."""
    files = model_files.fetch_files(uri, recipe.tracking)
    judge = checkpoint.load_sampler(files, uri)
    if judge.gives != "scores":
        raise BadInput(f"{place} {uri} gives {judge.gives}; allowed is a model of the task match_judge")
    seen, painted = ((one.height, one.width) for one in (judge.config, config))
    if seen != painted:
        raise BadInput(
            f"{place} {uri} judges pictures of {seen[0]} x {seen[1]} pixels; "
            f"the model paints {painted[0]} x {painted[1]}"
        )
    return files, judge.model_digest


def chooser_of(recipe: Recipe, task: Any) -> Chooser | None:
    """That of a recipe whose model is `task`, if it has one; BadInput where the two do not belong together."""
    config = recipe.generate.choice
    if not config.judge_uri:
        return None
    if task.gives != "images" or "prompt" not in task.prompt_columns:
        raise BadInput("generate.choice is for pictures that are made from words; this model makes others, or none")
    files, digest = judge_of(recipe, config.judge_uri, "generate.choice.judge_uri", task.config)
    return Chooser(files, digest, config)
