"""A recipe: everything a run needs, in one frozen tree of sections."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import ConfigDict

from ganrnn.config import within
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.closed_loop import DreamConfig
from pipelines.config.evaluate import EvaluateConfig
from pipelines.config.generate import SEEDS, GenerateConfig
from pipelines.config.ingest import IngestConfig
from pipelines.config.packaged import packaged_recipes
from pipelines.config.promote import PromoteConfig, require_registrable
from pipelines.config.rate import RateConfig
from pipelines.config.tracking import TrackingConfig
from pipelines.config.train import TrainConfig
from pipelines.config.uri_fields import URI, with_absolute_uris

BEST = "@best"  # of a run's checkpoints


@dataclass(frozen=True)
class Recipe:
    """Everything a run needs. URIs left empty lie below `run_uri`; `resolved` fills them in."""

    name: str  #: Name of the recipe, and by default of the MLflow experiment and the registered model.
    #: Folder or URI of the run; every URI that is left empty lies below it.
    run_uri: str = field(metadata=URI)
    task: Any  #: The system to train, by `task.name`, and its sizes; `ganrnn keys task` lists the keys of each.
    seed: int = 0  #: Seed of training, evaluation and, without generate.seed, of sampling.
    ingest: IngestConfig = field(default_factory=IngestConfig)  #: What ingest reads, and the dataset that it writes.
    train: TrainConfig = field(default_factory=TrainConfig)  #: Data-parallel training, its checkpoints and its guard.
    generate: GenerateConfig = field(default_factory=GenerateConfig)  #: Prompts to samples.
    #: Another recipe whose model writes the prompts, for `ganrnn closed_loop`.
    dream: DreamConfig = field(default_factory=DreamConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)  #: Which scores are computed, and how.
    promote: PromoteConfig = field(default_factory=PromoteConfig)  #: When a model becomes the champion of the registry.
    rate: RateConfig = field(default_factory=RateConfig)  #: A study in which people judge samples.
    tracking: TrackingConfig = field(default_factory=TrackingConfig)  #: Where MLflow keeps runs and models.

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for name in ("name", "run_uri"):
            if not getattr(self, name):
                raise BadInput(f"{name} is empty; every recipe has a name and a folder or URI that its run lives in")
        within("", self, seed=SEEDS)

    def resolved(self) -> "Recipe":
        """A copy in which every URI is absolute, and every name and seed is given."""
        run_uri = storage.absolute(self.run_uri, "run_uri")
        recipe: Recipe = with_absolute_uris(replace(self, run_uri=run_uri), run_uri)
        generate, promote, tracking = recipe.generate, recipe.promote, recipe.tracking
        model_uri = generate.model_uri
        if self.generate.model_uri in ("", BEST):
            model_uri = recipe.train.checkpoint_uri + self.generate.model_uri
        seed = self.seed if generate.seed is None else generate.seed
        registered_model = promote.registered_model or self.name
        require_registrable(registered_model)
        return replace(
            recipe,
            generate=replace(generate, model_uri=model_uri, seed=seed),
            dream=replace(recipe.dream, recipe=recipe.dream.recipe and _recipe_file(recipe.dream.recipe)),
            promote=replace(promote, registered_model=registered_model),
            tracking=replace(tracking, experiment=tracking.experiment or self.name),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as saved with every output."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def _recipe_file(recipe: str) -> str:
    packaged = packaged_recipes()
    return str(packaged[recipe]) if recipe in packaged else storage.absolute(recipe, "dream.recipe")
