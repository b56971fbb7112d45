"""Register a model: exit code 0 for a champion, 3 for a challenger.

ganrnn promote demo
"""

from pipelines.config.recipe import Recipe
from pipelines.promote.driver import promote

NOT_PROMOTED = 3


def act(recipe: Recipe) -> int:
    """Print the decision and its reasons."""
    decision = promote(recipe)
    print(f"models:/{recipe.promote.registered_model}/{decision.version} is {decision.alias}")
    for reason in decision.reasons:
        print(f"  {reason}")
    return 0 if decision.alias == "champion" else NOT_PROMOTED
