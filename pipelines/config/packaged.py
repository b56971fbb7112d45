"""Recipes that are installed with the package, which a command and `dream.recipe` may give by name.

Imports nothing heavy: the command line lists and looks up recipes before it loads anything else.
"""

import difflib
from importlib.resources import files
from pathlib import Path

from ganrnn.errors import BadInput


def packaged_recipes() -> dict[str, Path]:
    """Name -> file, in order of the names."""
    folder = Path(str(files("jobs"))) / "recipes"
    return {path.stem: path for path in sorted(folder.rglob("*.yaml"), key=lambda path: path.stem)}


def recipe_path(recipe: str) -> str:
    """The file of a recipe that was given by path, or by the name of a packaged one.

    The name of a packaged recipe means the same in every working folder; a file of that name is given as ./NAME.
    Raises BadInput for a file that does not exist.
    """
    packaged = packaged_recipes()
    if recipe in packaged:
        return str(packaged[recipe])
    if not recipe:
        raise BadInput("RECIPE is empty; give the path of a recipe or the name of a packaged one")
    try:
        if Path(recipe).exists():
            return recipe
    except OSError as error:
        raise BadInput(f"{recipe[:80]} cannot be a recipe ({error.strerror})") from error
    near = difflib.get_close_matches(Path(recipe).stem, packaged, n=1, cutoff=0.6)
    advice = f"did you mean {near[0]}?" if near else "`ganrnn recipes` lists them"
    raise BadInput(f"{recipe} does not exist; give the path of a recipe or the name of a packaged one: {advice}")
