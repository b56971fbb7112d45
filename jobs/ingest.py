"""Read images with captions, texts or pairs of texts into a dataset.

ganrnn ingest demo
"""

from jobs.checks.driver import require_feasible
from pipelines.config.recipe import Recipe
from pipelines.ingest.driver import ingest


def act(recipe: Recipe) -> None:
    """Print what was counted."""
    require_feasible(recipe, "ingest")
    totals = ingest(recipe).totals
    print(f"{recipe.ingest.dataset_uri}: " + ", ".join(f"{name} {value}" for name, value in totals.items()))
