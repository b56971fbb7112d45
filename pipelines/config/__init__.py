"""A recipe: every key of every verb, its default and its limits.

recipe = load_recipe("jobs/recipes/demo.yaml", ["train.num_workers=1"])
"""

from pipelines.config.generate import ChoiceConfig, GenerateConfig
from pipelines.config.loader import bare_recipe, load_recipe, parse_recipe
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import LEAST_MICRO_BATCH, SamplingConfig
from pipelines.config.tracking import TrackingConfig
from pipelines.config.train import TrainConfig

__all__ = [
    "LEAST_MICRO_BATCH",
    "ChoiceConfig",
    "GenerateConfig",
    "Recipe",
    "SamplingConfig",
    "TrackingConfig",
    "TrainConfig",
    "bare_recipe",
    "load_recipe",
    "parse_recipe",
]
