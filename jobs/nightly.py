"""What a schedule calls: all verbs in order, from new data to a model that is promoted if it is better.

    ganrnn nightly demo

Each verb does only what is missing, so a run that was cut short is finished by calling it again.
"""

from jobs import promote
from jobs.checks.driver import require_feasible, require_ingested, require_resources
from pipelines.cluster.session import session
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from pipelines.train.driver import train


def act(recipe: Recipe) -> int:
    """Check the recipe, then run the verbs in order; train, generate and evaluate share a Ray session."""
    require_feasible(recipe, "nightly")
    with session() as runner:
        require_resources(runner, recipe)
        ingest(recipe)
        require_ingested(recipe, is_evaluated=True, is_trained=True)
        train(recipe)
        generate(recipe)
        evaluate(recipe)
    return promote.act(recipe)
