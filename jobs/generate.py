"""Prompts Parquet and a model to samples Parquet.

python -m jobs.generate jobs/recipes/demo.yaml
python -m jobs.generate jobs/recipes/demo.yaml --verify --set generate.verify_share=0.1
"""

from jobs import cli
from pipelines.config import Recipe
from pipelines.generate.driver import generate, generate_increment
from pipelines.generate.verify import verify


def act(recipe: Recipe) -> None:
    if recipe.generate.incremental:
        made = [whole["totals"] for whole in generate_increment(recipe)]
        totals = {"files": len(made), **{name: sum(each[name] for each in made) for name in (made[0] if made else ())}}
    else:
        totals = generate(recipe)["totals"]
    _say(recipe, totals)


def check(recipe: Recipe) -> None:
    """What `--verify` does."""
    _say(recipe, verify(recipe))


def _say(recipe: Recipe, counts: dict[str, int]) -> None:
    print(f"{recipe.generate.samples_uri}: " + ", ".join(f"{name} {value}" for name, value in counts.items()))


def main() -> None:
    """Entry point of `ganrnn generate`."""
    cli.run("generate", act, instead={"verify": (check, "hash the samples, make a share of them again and compare")})


if __name__ == "__main__":
    main()
