"""Prompts Parquet and a model to samples Parquet.

python -m jobs.generate jobs/recipes/demo.yaml
"""

from jobs import cli
from pipelines.config import Recipe
from pipelines.generate import generate


def act(recipe: Recipe) -> None:
    totals = generate(recipe)["totals"]
    print(f"{recipe.generate.samples_uri}: " + ", ".join(f"{name} {value}" for name, value in totals.items()))


def main() -> None:
    """Entry point of `ganrnn generate`."""
    cli.run("generate", act)


if __name__ == "__main__":
    main()
