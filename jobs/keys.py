"""List the keys of a recipe with type, default, allowed values and meaning.

ganrnn keys train
ganrnn keys task --task image_gan
"""

import difflib
from argparse import Namespace
from collections.abc import Sequence

from ganrnn.errors import BadInput
from jobs.listing import print_lines
from pipelines.config.keys import Key, recipe_keys, task_keys, task_names


def act(options: Namespace) -> None:
    """Print two lines for each key at or below the section, of all tasks or of the given one."""
    section = options.section or ""
    if options.task is not None and section.split(".")[0] not in ("", "task"):
        raise BadInput(f"--task is for the section task; SECTION is {section}")
    tasks = {task: task_keys(task) for task in (task_names() if options.task is None else [options.task])}
    by_heading = {"": recipe_keys()} | {f"task.name {task}:": keys for task, keys in tasks.items()}
    listed = {heading: [key for key in keys if _is_below(key, section)] for heading, keys in by_heading.items()}
    if not any(listed.values()):
        raise BadInput(_unknown(section, [key.name for keys in by_heading.values() for key in keys]))
    blocks = [[*filter(None, [heading]), *map(_lines, keys)] for heading, keys in listed.items() if keys]
    print_lines(["\n\n".join("\n".join(block) for block in blocks)])


def _unknown(section: str, names: Sequence[str]) -> str:
    """Why nothing is listed, and what may have been meant."""
    if tasks := [task for task in task_names() if any(_is_below(key, section) for key in task_keys(task))]:
        return f"{section} is a key of {', '.join(tasks)} alone; --task is another one"
    task = section.removeprefix("task.")
    if task in task_names():
        return f"{section} is no section or key of a recipe; `ganrnn keys task --task {task}` lists its keys"
    near = difflib.get_close_matches(section.lower(), names, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else "`ganrnn keys` lists all keys"
    return f"{section} is no section or key of a recipe; {advice}"


def _is_below(key: Key, section: str) -> bool:
    return not section or f"{key.name}.".startswith(f"{section}.")


def _lines(key: Key) -> str:
    if not key.type:
        return f"{key.name}\n    {key.meaning}"
    allowed = f", allowed: {key.allowed}" if key.allowed else ""
    return f"{key.name}: {key.type}, default: {key.default}{allowed}\n    {key.meaning}"
