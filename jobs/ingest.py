"""Pictures and captions to dataset Parquet.

python -m jobs.ingest jobs/recipes/demo.yaml
"""

from jobs import cli
from pipelines.config import Recipe
from pipelines.ingest.driver import ingest


def act(recipe: Recipe) -> None:
    totals = ingest(recipe)["totals"]
    print(f"{recipe.ingest.dataset_uri}: " + ", ".join(f"{name} {value}" for name, value in totals.items()))


def main() -> None:
    """Entry point of `ganrnn ingest`."""
    cli.run("ingest", act)


if __name__ == "__main__":
    main()
