"""Train the recipe's task on a dataset.

ganrnn train demo
"""

from pipelines.config.recipe import Recipe
from pipelines.train.driver import train
from pipelines.validate.driver import require_feasible


def act(recipe: Recipe) -> None:
    """Print the URI of the last checkpoint."""
    require_feasible(recipe, "train")
    print(train(recipe))
