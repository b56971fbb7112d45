"""List the keys of a recipe with type, default, allowed values and meaning.

ganrnn keys train
ganrnn keys task --task image_gan
"""

import difflib
from argparse import Namespace

from ganrnn.errors import BadInput
from jobs.listing import print_lines
from pipelines.config.keys import Key, recipe_keys, task_keys, task_names


def act(options: Namespace) -> None:
    """Print two lines for each key at or below the section, of all tasks or of the given one."""
    section = options.section or ""
    tasks = {task: task_keys(task) for task in ([options.task] if options.task else task_names())}
    by_heading = {"": recipe_keys()} | {f"task.name {task}:": keys for task, keys in tasks.items()}
    listed = {heading: [key for key in keys if _is_below(key, section)] for heading, keys in by_heading.items()}
    if not any(listed.values()):
        names = [key.name for keys in by_heading.values() for key in keys]
        near = difflib.get_close_matches(section, names, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else "`ganrnn keys` lists all keys"
        raise BadInput(f"{section} is no section or key of a recipe; {advice}")
    blocks = [[*filter(None, [heading]), *map(_lines, keys)] for heading, keys in listed.items() if keys]
    print_lines(["\n\n".join("\n".join(block) for block in blocks)])


def _is_below(key: Key, section: str) -> bool:
    return not section or f"{key.name}.".startswith(f"{section}.")


def _lines(key: Key) -> str:
    if not key.type:
        return f"{key.name}\n    {key.meaning}"
    allowed = f", allowed: {key.allowed}" if key.allowed else ""
    return f"{key.name}: {key.type}, default: {key.default}{allowed}\n    {key.meaning}"
