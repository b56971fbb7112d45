"""What a schedule calls: all verbs in order, from new data to a model that is promoted if it is better.

    python -m jobs.nightly jobs/recipes/demo.yaml

Each verb does only what is missing, so a night that was cut short is finished by calling it again.
"""

from jobs import cli, promote
from pipelines.cluster.session import session
from pipelines.config import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from pipelines.train.driver import train


def act(recipe: Recipe) -> int:
    """The picture of the system, from left to right; the verbs that need Ray share a session."""
    ingest(recipe)
    with session():
        train(recipe)
        generate(recipe)
        evaluate(recipe)
    return promote.act(recipe)


def main() -> None:
    """Entry point of `ganrnn nightly`."""
    cli.run("nightly", act)


if __name__ == "__main__":
    main()
