"""How a verb runs: one recipe file, one frozen tree of dataclasses, one way to override a value.

    recipe = load_recipe("jobs/recipes/demo.yaml", ["train.num_workers=1"])

Unknown keys, wrong types and values out of range raise BadInput before anything else happens.
"""

import difflib
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ganrnn.errors import BadInput
from ganrnn.outputs import plain_output
from ganrnn.task import task_class
from pipelines.config.overrides import apply_override, read_yaml
from pipelines.config.packaged import recipe_path
from pipelines.config.recipe import Recipe
from pipelines.config.sampling import LEAST_MICRO_BATCH


def load_recipe(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `a.b=value` overrides, check everything, resolve URIs.

    `recipe` is a path or the name of a packaged recipe. Raises BadInput naming the file and the key.
    """
    path = recipe_path(recipe)
    try:
        raw = read_yaml(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise BadInput(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    except BadInput as error:
        raise BadInput(f"{path} {error}") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path} holds {type(raw).__name__}; a recipe is a mapping of sections")
    for override in overrides:
        apply_override(raw, override)
    return parse_recipe(raw, path)


def bare_recipe(name: str, overrides: Sequence[str]) -> Recipe:
    """A recipe made of overrides alone, below runs/ and without a task, for a verb that trains and samples nothing."""
    raw: dict[str, Any] = {}
    for override in overrides:
        apply_override(raw, override)
    recipe: Recipe = _validate(Recipe, {"name": name, "run_uri": "runs", "task": {}, **raw}, "--set", ())
    return recipe.resolved()


def parse_recipe(raw: Mapping[str, Any], origin: str) -> Recipe:
    """A checked, resolved recipe from plain values; `origin` says in errors where they come from."""
    section = raw.get("task")
    name = section.get("name") if isinstance(section, Mapping) else None
    config_type = task_class(name, f"{origin}: task.name").config_type
    task = _validate(config_type, section, origin, ("task",))
    recipe: Recipe = _validate(Recipe, {**raw, "task": {}}, origin, ())
    micro_batch_size = recipe.generate.sampling.micro_batch_size
    if not plain_output(task_class(name)).is_exact and micro_batch_size % LEAST_MICRO_BATCH:
        raise BadInput(f"sampling.micro_batch_size is {micro_batch_size}; allowed are multiples of {LEAST_MICRO_BATCH}")
    try:
        return replace(recipe, task=task).resolved()
    except BadInput as error:
        raise type(error)(f"{origin}: {error}") from error


def _validate(schema: Any, values: Any, origin: str, section: tuple[str, ...]) -> Any:
    """A dataclass from plain values; BadInput names `origin` and the key, which is below `section`.

    `TypeAdapter(schema).validate_python(values)` alone does not do: ganrnn may not import pydantic, so a task's config
    cannot say that unknown keys are errors, which a subclass says here; and strict Python values refuse YAML's list for
    a tuple, which strict JSON takes, while it still refuses 1 for true and "1" for 1.
    """
    if schema is not Recipe:
        schema = type(schema.__name__, (schema,), {"__pydantic_config__": ConfigDict(extra="forbid")})
    try:
        return TypeAdapter(schema).validate_json(json.dumps(values), strict=True)
    except TypeError as error:
        raise BadInput(
            f"{origin}: {'.'.join(section) or 'recipe'} holds a value that is no plain YAML: {error}"
        ) from error
    except ValidationError as errors:
        first = errors.errors()[0]
        key = ".".join((*section, *(str(part) for part in first["loc"])))
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise BadInput(f"{origin}: {key} is no known key; {_nearest(schema, first['loc'])}") from errors
        if first["input"] is None and ":" in str(first["loc"][-1]):
            raise BadInput(f"{origin}: {key} has no value; YAML needs a blank after the colon") from errors
        value = "" if first["type"].startswith("missing") else f" is {first['input']!r};"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error":
            raise BadInput(f"{origin}: {message}") from errors
        raise BadInput(f"{origin}: {key}{value} {message[0].lower() + message[1:]}") from errors


def _nearest(schema: Any, location: tuple[int | str, ...]) -> str:
    """The keys allowed where an unknown one stood, the most similar first."""
    for part in location[:-1]:
        schema = typing.get_type_hints(schema)[str(part)]
    keys = [f.name for f in fields(schema)] if is_dataclass(schema) else []
    near = difflib.get_close_matches(str(location[-1]), keys, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(keys)}"
