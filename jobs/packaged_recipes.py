"""List the packaged recipes by name, each with the first line of its header.

ganrnn recipes
"""

from argparse import Namespace

from pipelines.config.packaged import packaged_recipes


def act(options: Namespace) -> None:
    """Print a line for each recipe."""
    recipes = packaged_recipes()
    width = max(map(len, recipes))
    for name, path in recipes.items():
        header = path.read_text(encoding="utf-8").partition("\n")[0]
        print(f"{name:<{width}}  {header.removeprefix('#').strip()}")
