"""List the keys of a recipe with type, default, allowed values and meaning.

ganrnn keys train
ganrnn keys task --task image_gan
"""

import difflib
from argparse import Namespace

from ganrnn.errors import BadInput
from pipelines.config.keys import Key, recipe_keys, task_keys, task_names


def act(options: Namespace) -> None:
    """Print two lines for each key at or below the section, of all tasks or of the given one."""
    section = options.section or ""
    recipe = _at_or_below(recipe_keys(), section)
    tasks = [options.task] if options.task else task_names()
    by_task = {task: _at_or_below(task_keys(task), section) for task in tasks}
    if not recipe and not any(by_task.values()):
        names = [key.name for key in (*recipe_keys(), *(key for task in tasks for key in task_keys(task)))]
        near = difflib.get_close_matches(section, names, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else "`ganrnn keys` lists all keys"
        raise BadInput(f"{section} is no section or key of a recipe; {advice}")
    by_heading = {"": recipe} | {f"task.name {task}:": keys for task, keys in by_task.items()}
    print(
        "\n\n".join(
            "\n".join([*filter(None, [heading]), *map(_lines, keys)]) for heading, keys in by_heading.items() if keys
        )
    )


def _at_or_below(keys: list[Key], section: str) -> list[Key]:
    return [key for key in keys if not section or f"{key.name}.".startswith(f"{section}.")]


def _lines(key: Key) -> str:
    if not key.type:
        return f"{key.name}\n    {key.meaning}"
    allowed = f", allowed: {key.allowed}" if key.allowed else ""
    return f"{key.name}: {key.type}, default: {key.default}{allowed}\n    {key.meaning}"
