"""List the packaged recipes by name, each with the first line of its header.

ganrnn recipes
"""

from argparse import Namespace
from pathlib import Path

from jobs.listing import print_lines
from pipelines.config.packaged import packaged_recipes


def act(options: Namespace) -> None:
    """Print a line for each recipe."""
    recipes = packaged_recipes()
    width = max(map(len, recipes))
    print_lines(f"{name:<{width}}  {_headline(path)}" for name, path in recipes.items())


def _headline(recipe: Path) -> str:
    return recipe.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()
