"""A model that holds its thresholds to the registry: exit code 0 for champion, 3 for challenger.

python -m jobs.promote jobs/recipes/demo.yaml
"""

from jobs import cli
from pipelines.config import Recipe
from pipelines.promote.driver import promote

NOT_PROMOTED = 3


def act(recipe: Recipe) -> int:
    """Promote, say what was decided and why."""
    decision = promote(recipe)
    print(f"models:/{recipe.promote.registered_model}/{decision.version} is {decision.alias}")
    for reason in decision.reasons:
        print(f"  {reason}")
    return 0 if decision.alias == "champion" else NOT_PROMOTED


def main() -> None:
    """Entry point of `ganrnn promote`."""
    cli.run("promote", act)


if __name__ == "__main__":
    main()
