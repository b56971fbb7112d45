"""Every key of a recipe with its type, default, allowed values and meaning, read from the classes of the sections.

The meaning of a key is its comment `#:`, at the end of its line or on the lines above it. Its bounds are those that
the class gives to the checks of ganrnn/config.py.
"""

import ast
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from ganrnn.errors import BadInput
from pipelines.config.rebuilt import evaluated, names_of, path_of, read_source, rebuilt, sources_of

_COMMENT = "#: "
_BOUNDS: dict[str, Callable[[Any], str]] = {
    "at_least": "from {} up".format,
    "at_most": "up to {}".format,
    "above": "above {}".format,
    "within": lambda ends: "from {} to {}".format(*ends),
    "above_to": lambda ends: "above {} to {}".format(*ends),
    "multiples": lambda ends: "multiples of {} from {} up".format(*ends),
    "between": lambda ends: "between {} and {}".format(*ends),
    "below": "from 0 to below {}".format,
}
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True)
class Key:
    """A key, or a section of keys, which has neither type nor default; `allowed` is empty where the type says all."""

    name: str
    meaning: str
    type: str = ""
    default: str = ""
    allowed: str = ""


def recipe_keys() -> list[Key]:
    """The keys of all sections but `task`, in the order of the recipe."""
    return list(_keys(rebuilt("pipelines.config.recipe", "Recipe"), ""))


def task_names() -> list[str]:
    """The tasks: the modules of ganrnn/tasks."""
    return sorted(path.stem for path in path_of("ganrnn.tasks").parent.glob("[a-z]*.py"))


def task_keys(task: str) -> list[Key]:
    """The keys of the section `task` in recipes of a task. Raises BadInput for a name that no task has."""
    if task not in task_names():
        raise BadInput(f"--task is {task!r}; allowed are {', '.join(task_names())}")
    return list(_keys(task_config(task), "task."))


def task_config(task: str) -> Any:
    """The rebuilt config of a task: the `config_type` of the class that its module calls TASK."""
    module = f"ganrnn.tasks.{task}"
    source = read_source(module)
    (statement,) = [
        item for item in source.class_of(_right(source.statements["TASK"])).body if "config_type" in names_of(item)
    ]
    return rebuilt(module, _right(statement))


def _right(statement: ast.stmt) -> str:
    assert isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None, statement
    return ast.unparse(statement.value)


def _keys(config_type: Any, prefix: str, section: Any = None) -> Iterator[Key]:
    """The keys of a class; the defaults are the values of `section`, an instance of it, where it is part of another."""
    kinds = typing.get_type_hints(config_type)
    for field in fields(config_type):
        name, kind, meaning = f"{prefix}{field.name}", kinds[field.name], _meaning(config_type, field.name)
        default = getattr(section, field.name, field.default)
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        if is_dataclass(kind):
            yield Key(name, meaning)
            yield from _keys(kind, f"{name}.", default)
        elif kind is Any:  # the section `task`, whose keys depend on its name
            yield Key(name, meaning)
        else:
            words, allowed = words_of(kind)
            if "below" in field.metadata:
                words = words.replace("text", "URI")
            allowed = allowed or _bounds(config_type, field.name)
            yield Key(name, meaning, words, _default(default, field.metadata.get("below")), allowed)


def _default(value: Any, below: str | None) -> str:
    if value is MISSING:
        return "none, required"
    return json.dumps(value, ensure_ascii=False) if below is None else f"RUN_URI/{below}".rstrip("/")


def words_of(kind: Any) -> tuple[str, str]:
    """A type in words, and its values where they are few."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return _WORDS[type(arguments[0])], ", ".join(map(str, arguments))
    if origin is types.UnionType:
        words, allowed = words_of(arguments[0])
        return " or ".join(
            [words, *("null" if kind is types.NoneType else words_of(kind)[0] for kind in arguments[1:])]
        ), allowed
    if origin is tuple:
        words, allowed = words_of(arguments[0])
        return f"list of {words}s", allowed
    if origin is not None and issubclass(origin, Mapping):
        kinds = typing.get_args(arguments[1]) or arguments[1:]
        return f"mapping of names to {' or '.join(f'{words_of(each)[0]}s' for each in kinds)}", ""
    return _WORDS[kind], ""


def _meaning(config_type: Any, name: str) -> str:
    """The comment of a key, in the class that defines it last."""
    module, statement = next(
        (module, item) for module, node in sources_of(config_type) for item in node.body if name in names_of(item)
    )
    lines, first = read_source(module).lines, statement.lineno - 1
    last_line = lines[(statement.end_lineno or statement.lineno) - 1]
    if _COMMENT in last_line:
        return last_line.partition(_COMMENT)[2]
    begin = first
    while lines[begin - 1].strip().startswith(_COMMENT):
        begin -= 1
    return " ".join(line.strip().removeprefix(_COMMENT) for line in lines[begin:first])


def _bounds(config_type: Any, name: str) -> str:
    """The bounds of a key in words; empty where no check has it."""
    return next((bounds[name] for base in sources_of(config_type) if name in (bounds := _checked(*base))), "")


@cache
def _checked(module: str, statement: ast.ClassDef) -> dict[str, str]:
    """Bounds in words by key, from the checks that a class calls."""
    bounds: dict[str, str] = {}
    for call in ast.walk(statement):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            check = call.func.id
            if check == "require_share":
                names = [word.value for word in call.args if isinstance(word, ast.Constant)]
                bounds |= dict.fromkeys(map(str, names), "from 0 to below 1")
            elif check in _BOUNDS:
                bounds |= {str(word.arg): _BOUNDS[check](_bound(module, word.value)) for word in call.keywords}
    return bounds


def _bound(module: str, bound: ast.expr) -> Any:
    """A bound, or the two of a range; one that depends on another key as its expression."""
    if isinstance(bound, ast.Tuple):
        return [_bound(module, end) for end in bound.elts]
    expression = ast.unparse(bound)
    return expression.replace("self.", "") if "self." in expression else evaluated(module, bound)
