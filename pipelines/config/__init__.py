"""A recipe: every key of every verb, its default and its limits.

recipe = load_recipe("jobs/recipes/demo.yaml", ["train.num_workers=1"])
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.config.generate import ChoiceConfig, GenerateConfig
    from pipelines.config.loader import bare_recipe, load_recipe, parse_recipe
    from pipelines.config.recipe import Recipe
    from pipelines.config.sampling import LEAST_MICRO_BATCH, SamplingConfig
    from pipelines.config.tracking import TrackingConfig
    from pipelines.config.train import TrainConfig
else:
    # The sections load torch, pydantic and pyarrow, which the command line's help, `keys` and `recipes` do without.
    _MODULES = {
        "ChoiceConfig": "generate",
        "GenerateConfig": "generate",
        "LEAST_MICRO_BATCH": "sampling",
        "Recipe": "recipe",
        "SamplingConfig": "sampling",
        "TrackingConfig": "tracking",
        "TrainConfig": "train",
        "bare_recipe": "loader",
        "load_recipe": "loader",
        "parse_recipe": "loader",
    }

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


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
