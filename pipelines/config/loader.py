"""How a verb runs: one recipe file, one frozen tree of dataclasses, one way to override a value.

    recipe = load_recipe("jobs/recipes/demo.yaml", ["train.num_workers=1"])

Unknown keys, wrong types and values out of range raise BadInput before anything else happens.
"""

import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ganrnn.errors import BadInput
from ganrnn.outputs import plain_output
from ganrnn.task import task_class
from pipelines.config.overrides import apply_override
from pipelines.config.packaged import recipe_path
from pipelines.config.plain_yaml import excerpt, excerpt_of, read_yaml, require_plain
from pipelines.config.recipe import Recipe
from pipelines.config.refusals import refusal
from pipelines.config.sampling import LEAST_MICRO_BATCH


def load_recipe(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `a.b=value` overrides, check everything, resolve URIs.

    `recipe` is a path or the name of a packaged recipe. Raises BadInput naming the file, or the override, and the key.
    """
    path = recipe_path(recipe)
    try:
        raw = read_yaml(Path(path).read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise BadInput(f"{path} is not a YAML file: it is a folder") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror})") from error
    except BadInput as error:
        raise BadInput(f"{path} {error}") from error
    if not isinstance(raw, dict):
        what = "is empty" if raw is None else f"holds {excerpt(raw)}"
        raise BadInput(f"{path} {what}; a recipe is a mapping of sections")
    for override in overrides:
        apply_override(raw, override)
    return parse_recipe(raw, path, overrides)


def bare_recipe(name: str, overrides: Sequence[str]) -> Recipe:
    """A recipe made of overrides alone, below runs/ and without a task, for a verb that trains and samples nothing."""
    raw: dict[str, Any] = {}
    for override in overrides:
        apply_override(raw, override)
    try:
        require_plain(raw)
        recipe: Recipe = _validate(Recipe, {"name": name, "run_uri": "runs", "task": {}, **raw})
        return recipe.resolved()
    except BadInput as error:
        raise _placed(error, "--set", overrides) from error


def parse_recipe(raw: Mapping[str, Any], origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """A checked, resolved recipe from plain values, to which the overrides have been applied.

    BadInput begins with the override that is wrong, or with `origin`: where the other values come from.
    """
    try:
        return _parsed(raw)
    except BadInput as error:
        raise _placed(error, origin, overrides) from error


def _parsed(raw: Mapping[str, Any]) -> Recipe:
    require_plain(raw)
    section = raw.get("task")
    name = section.get("name") if isinstance(section, Mapping) else None
    config_type = task_class(name).config_type
    task = _validate(config_type, section, ("task",))
    recipe: Recipe = _validate(Recipe, {**raw, "task": {}})
    micro_batch_size = recipe.generate.sampling.micro_batch_size
    if not plain_output(task_class(name)).is_exact and micro_batch_size % LEAST_MICRO_BATCH:
        raise BadInput(
            f"generate.sampling.micro_batch_size is {micro_batch_size}; "
            f"allowed are multiples of {LEAST_MICRO_BATCH} for a task that gives images"
        )
    return replace(recipe, task=task).resolved()


def _placed(error: BadInput, origin: str, overrides: Sequence[str]) -> BadInput:
    """An error that begins with the last override that set its key, or one that it mentions; else with `origin`."""
    message = re.sub(r"(\S{200})\S+", r"\1...", str(error))
    first, *others = re.findall(r"[\w.@%+:/=-]+", message)
    keys = {override: override.partition("=")[0] for override in overrides}
    mentioned = [override for override, key in keys.items() if "." in key and key in others]
    at_fault = [
        override for override, key in keys.items() if f"{first}.".startswith(f"{key}.") or key.startswith(f"{first}.")
    ]
    wrong = [*mentioned, *at_fault]
    return type(error)(f"{f'--set {excerpt_of(wrong[-1])}' if wrong else origin}: {message}")


def _validate(schema: Any, values: Any, section: tuple[str, ...] = ()) -> Any:
    """A dataclass from plain values; BadInput names the key, which is below `section`.

    Strict Python values refuse YAML's list for a tuple, which strict JSON takes, while it still refuses 1 for true and
    "1" for 1.
    """
    plain = json.dumps(_with_empty_sections(schema, values))
    try:
        return _adapter(schema).validate_json(plain, strict=True)
    except ValidationError as errors:
        raise refusal(schema, errors.errors()[0], section) from errors


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    """What checks values of a dataclass.

    ganrnn may not import pydantic, so a task's config cannot say that unknown keys are errors; a subclass says it here.
    """
    if schema is not Recipe:
        schema = type(schema.__name__, (schema,), {"__pydantic_config__": ConfigDict(extra="forbid")})
    return TypeAdapter(schema)


def _with_empty_sections(schema: Any, values: Any) -> Any:
    """Plain values in which a section or mapping without keys, null to YAML, is an empty one."""
    if not isinstance(values, Mapping):
        return values
    kinds = _kinds(schema)
    filled = dict(values)
    for name in kinds.keys() & filled.keys():
        if is_dataclass(kinds[name]):
            filled[name] = {} if filled[name] is None else _with_empty_sections(kinds[name], filled[name])
        elif filled[name] is None and typing.get_origin(kinds[name]) in (dict, Mapping):
            filled[name] = {}
    return filled


@cache
def _kinds(schema: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(schema)
