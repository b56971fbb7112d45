"""Score samples, or a model on prompts, against the reference.

ganrnn evaluate demo
"""

from jobs.checks.driver import require_feasible
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.report import scores


def act(recipe: Recipe) -> None:
    """Print the table of scores and where the report is."""
    require_feasible(recipe, "evaluate")
    print(scores.score_table(evaluate(recipe)))
    print(f"{recipe.evaluate.report_uri}/report.html")
