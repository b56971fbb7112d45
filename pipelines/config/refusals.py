"""What pydantic finds wrong with a recipe, in the words of YAML and of `ganrnn keys`."""

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic_core import ErrorDetails

from ganrnn.errors import BadInput
from pipelines.config.keys import words_of
from pipelines.config.plain_yaml import dotted, excerpt


def refusal(schema: Any, error: ErrorDetails, section: tuple[str, ...]) -> BadInput:
    """An error in the values of a dataclass that is the section, or all of the recipe, as one sentence."""
    location, kind = _type_at(schema, error["loc"])
    key = dotted((*section, *location)) or "recipe"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return BadInput(f"{key} is no known key; {_nearest(schema, location)}")
    if error["type"] == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        # A class that is used in several sections does not know its own.
        is_whole = not location or message.startswith(f"{(*section, *location)[0]}.")
        return BadInput(message if is_whole else f"{key}.{message}")
    if error["type"].startswith("missing"):
        return BadInput(f"{key} is missing; {_allowed(kind)}")
    if error["input"] is None and ":" in str(location[-1:]):
        return BadInput(f"{key} has no value; YAML needs a blank after the colon")
    return BadInput(f"{key} is {excerpt(error['input'])}; {_allowed(kind)}")


def _type_at(schema: Any, location: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], Any]:
    """The location of a value, without the types of a union that pydantic adds, and the type of a value there."""
    for depth, part in enumerate(location):
        origin, arguments = typing.get_origin(schema), typing.get_args(schema)
        if is_dataclass(schema):
            schema = typing.get_type_hints(schema).get(str(part))
        elif origin is tuple:
            schema = arguments[0]
        elif origin is not None and origin is not types.UnionType and issubclass(origin, Mapping):
            schema = arguments[1]
        else:
            return location[:depth], schema
    return location, schema


def _allowed(kind: Any) -> str:
    if is_dataclass(kind):
        return f"allowed is a section with keys such as {', '.join(key.name for key in fields(kind)[:3])}"
    words, values = words_of(kind)
    if values and typing.get_origin(kind) is not tuple:
        return f"allowed are {values}"
    return f"allowed is {words}" if words.startswith(("text", "true")) else f"allowed is a {words}"


def _nearest(schema: Any, location: tuple[int | str, ...]) -> str:
    """The keys allowed where an unknown one stood, the most similar first."""
    _, around = _type_at(schema, location[:-1])
    keys = [key.name for key in fields(around)]
    near = difflib.get_close_matches(str(location[-1]).lower(), keys, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(keys)}"
