"""Read images with captions, texts or pairs of texts into a dataset.

ganrnn ingest demo
"""

from pipelines.config.recipe import Recipe
from pipelines.ingest.driver import ingest


def act(recipe: Recipe) -> None:
    """Print what was counted."""
    totals = ingest(recipe).totals
    print(f"{recipe.ingest.dataset_uri}: " + ", ".join(f"{name} {value}" for name, value in totals.items()))
