"""A dataset to checkpoints.

python -m jobs.train jobs/recipes/demo.yaml
"""

from jobs import cli
from pipelines.config import Recipe
from pipelines.train.driver import train


def act(recipe: Recipe) -> None:
    print(train(recipe))


def main() -> None:
    """Entry point of `ganrnn train`."""
    cli.run("train", act)


if __name__ == "__main__":
    main()
