"""Train the recipe's task on a dataset.

ganrnn train demo
"""

from jobs.checks.driver import require_feasible
from pipelines.config.recipe import Recipe
from pipelines.train.driver import train


def act(recipe: Recipe) -> None:
    """Print the URI of the last checkpoint."""
    require_feasible(recipe, "train")
    print(train(recipe))
