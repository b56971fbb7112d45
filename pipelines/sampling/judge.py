"""A model that judges whether images fit their prompts: checked, with the files that workers need."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines.config.generate import ChoiceConfig
from pipelines.config.recipe import Recipe
from pipelines.sampling import model_files


@dataclass(frozen=True)
class Judge:
    """The files of a model of the task match_judge, and their digest."""

    files: Mapping[str, bytes]
    digest: str


@dataclass(frozen=True)
class Chooser:
    """A judge that keeps the best of several candidates, with all that its choice depends on."""

    judge: Judge
    config: ChoiceConfig

    def plan(self) -> dict[str, str | int | float]:
        """What samples are a function of."""
        settings = {name: value for name, value in asdict(self.config).items() if name != "judge_uri"}
        return {"judge_digest": self.judge.digest, **settings}


def judge_of(recipe: Recipe, uri: str, key: str, config: Any) -> Judge:
    """The judge at a URI.

    Raises BadInput, naming the key, if the model is not a judge or sees images of another size than `config` has.
    """
    files = model_files.fetch_files(uri, recipe.tracking)
    judge = checkpoint.load_sampler(files, uri)
    if judge.output_modality != "scores":
        raise BadInput(f"{key} {uri} gives {judge.output_modality}; allowed is a model of the task match_judge")
    judged, generated = ((one.height, one.width) for one in (judge.config, config))
    if judged != generated:
        raise BadInput(
            f"{key} {uri} judges images of {judged[0]} x {judged[1]} pixels; "
            f"the model generates {generated[0]} x {generated[1]}"
        )
    return Judge(files, judge.model_digest)


def chooser_of(recipe: Recipe, task: Any) -> Chooser | None:
    """The judge that picks among the candidates of `task`, or None if the recipe names none.

    Raises BadInput where the two do not belong together.
    """
    config = recipe.generate.choice
    if not config.judge_uri:
        return None
    if task.output_modality != "images" or "prompt" not in task.prompt_columns:
        raise BadInput("generate.choice is for models that generate images from prompts; this model does not")
    return Chooser(judge_of(recipe, config.judge_uri, "generate.choice.judge_uri", task.config), config)
