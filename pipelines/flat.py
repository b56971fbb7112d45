"""Nested plain values as one level of dotted keys."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def flat(tree: Mapping[str, Any], into_lists: bool = False) -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; tuples become lists, as in JSON, and an empty mapping stays a value.

    into_lists:  number the items of lists as further keys, `{"a": [1]}` as `{"a.0": 1}`; what is empty then has none
    """
    return {path: leaf for key, value in tree.items() for path, leaf in _leaves(value, key, into_lists)}


def _leaves(value: Any, key: str, into_lists: bool) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or into_lists):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple) and into_lists:
        items = enumerate(value)
    else:
        yield key, list(value) if isinstance(value, tuple) else value
        return
    for name, inner in items:
        yield from _leaves(inner, f"{key}.{name}", into_lists)
