"""Samples, or prompts and a model, against the reference: report.json, report.html, contact_sheet.png.

python -m jobs.evaluate jobs/recipes/demo.yaml
"""

from jobs import cli
from pipelines.config import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.report import scores


def act(recipe: Recipe) -> None:
    print(scores.score_table(evaluate(recipe)))
    print(f"{recipe.evaluate.report_uri}/report.html")


def main() -> None:
    """Entry point of `ganrnn evaluate`."""
    cli.run("evaluate", act)


if __name__ == "__main__":
    main()
