"""YAML as recipes use it: the core schema of version 1.2, of which no value goes beyond what a key can hold."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from ganrnn.errors import BadInput

_MOST_VALUES, _MOST_LEVELS = 100_000, 30
_LONGEST = 80  # characters of a value in a message
_DIGITS = 100


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number and 2026-01-31, 010, 10:30, yes and off are texts; PyYAML reads version 1.1.

    Digits may be grouped by `_`. A key that stands twice is refused, as the standard asks for; PyYAML drops the first
    one in silence. A number with a leading 0 is 8 in one version and 10 in the other: as a text, it is refused by a key
    that wants a number.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Where keys still stand as they were written: a merge (`<<`) may well give a key that the mapping has."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                raise BadInput(
                    f"line {line}: {key.value!r} stands twice, first in line {first[key.value]}; leave one of them out"
                )
            first[key.value] = line
        return node


_TAG = "tag:yaml.org,2002:"
_PATTERNS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


def _number(loader: yaml.SafeLoader, node: Any) -> int | float:
    text = loader.construct_scalar(node)
    if len(text) > _DIGITS:
        raise yaml.constructor.ConstructorError(
            None, None, f"a number of {len(text)} characters; allowed are {_DIGITS}", node.start_mark
        )
    digits = text.replace("_", "").lower()
    try:
        return int(digits, 0) if node.tag == f"{_TAG}int" else float(re.sub(r"\.(?=inf|nan)", "", digits))
    except ValueError:
        raise yaml.constructor.ConstructorError(None, None, f"{text!r} is no number", node.start_mark) from None


def _truth(loader: yaml.SafeLoader, node: Any) -> bool:
    text = loader.construct_scalar(node)
    if not re.fullmatch(_PATTERNS["bool"][0], text):
        raise yaml.constructor.ConstructorError(None, None, f"{text!r} is not true or false", node.start_mark)
    return bool(text.lower() == "true")


_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _PATTERNS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in ("null", "str", "seq", "map")
}
_Loader.add_constructor(f"{_TAG}int", _number)
_Loader.add_constructor(f"{_TAG}float", _number)
_Loader.add_constructor(f"{_TAG}bool", _truth)


def read_yaml(text: str) -> Any:
    """Plain values. Raises YAMLError, and BadInput for a key that stands twice in a mapping."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except BadInput:
        raise
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deep") from error
    except (ValueError, OverflowError) as error:  # of int and chr, which PyYAML calls with what stands in the text
        raise yaml.YAMLError(str(error)) from error


def end_of_value(text: str) -> int:
    """The number of characters of a YAML text before its end or a comment. Raises what `read_yaml` does."""
    node = yaml.compose(text, Loader=_Loader)
    return node.end_mark.index if node else 0


def require_plain(values: Any) -> None:
    """Raise BadInput, naming the key, for a value that no key can hold.

    These are numbers that are not finite or have more than 64 bits, texts that are no Unicode, and whatever is no plain
    value, too large or contains itself.
    """
    left: list[tuple[tuple[str, ...], Any]] = [((), values)]
    num_values = 0
    while left:
        parts, value = left.pop()
        num_values += 1
        if num_values > _MOST_VALUES:
            raise BadInput(f"recipe has too many values; allowed are {_MOST_VALUES}")
        if len(parts) > _MOST_LEVELS:
            raise BadInput(f"{dotted(parts)} is nested too deep; allowed are {_MOST_LEVELS} levels")
        if problem := _problem(value):
            raise BadInput(f"{dotted(parts) or 'recipe'} {problem}")
        for part, item in _items(value):
            if not _is_text(part):
                raise BadInput(f"{dotted((*parts, part))} is no key; allowed is text without NUL and surrogates")
            left.append(((*parts, part), item))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(index), item) for index, item in enumerate(value))


def _problem(value: Any) -> str:
    """What is wrong with a value, apart from the values in it; empty where nothing is."""
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return ""
    if isinstance(value, int):
        return "" if -(2**63) <= value < 2**63 else f"is {value}; allowed are whole numbers of 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {value}; allowed are finite numbers"
    if isinstance(value, str):
        return "" if _is_text(value) else f"is {excerpt(value)}; allowed is text without NUL and surrogates"
    return f"is of type {type(value).__name__}, which is no plain YAML"


def _is_text(text: str) -> bool:
    return not re.search("[\x00\ud800-\udfff]", text)


def dotted(parts: Sequence[str | int]) -> str:
    """A key by its parts; a part that is no plain word is quoted."""
    words = [str(part) for part in parts]
    return excerpt_of(".".join(word if re.fullmatch(r"[\w@%+:/=.-]+", word) else repr(word) for word in words))


def excerpt(value: Any) -> str:
    """A plain value as a message shows it: in the words of YAML, and cut where it is long."""
    if isinstance(value, str):
        return excerpt_of(repr(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return excerpt_of(
            "{" + ", ".join(f"{dotted([str(key)])}: {excerpt(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return excerpt_of("[" + ", ".join(map(excerpt, value)) + "]")
    return excerpt_of(str(value))


def excerpt_of(text: str) -> str:
    """A text, cut where it is long."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
