"""Keys whose values are URIs: declared where the key is, made absolute in one loop.

A URI that stays relative works on a laptop and fails on a cluster, whose workers run in other folders.
"""

from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import Any

from pipelines import storage

_BELOW = "below"
URI = {_BELOW: None}  # metadata of a key without default, or of one that maps names to URIs


def uri_field(default: str | None = "", *, below: str | None = None) -> Any:
    """A key that holds a URI; left empty, it is the path `below` in the run's folder where that is given."""
    return field(default=default, metadata={_BELOW: below})


def is_uri_field(key: Any) -> bool:
    """Whether a dataclass field was declared by `uri_field` or with `metadata=URI`."""
    return _BELOW in key.metadata


def with_absolute_uris(section: Any, run_uri: str) -> Any:
    """A copy of a section, and of the sections in it, whose URIs are absolute; `run_uri` is the run's folder."""
    changes: dict[str, Any] = {}
    for key in fields(section):
        value = getattr(section, key.name)
        if is_dataclass(value):
            changes[key.name] = with_absolute_uris(value, run_uri)
        elif is_uri_field(key):
            changes[key.name] = _absolute(value, run_uri, key.metadata[_BELOW])
    return replace(section, **changes) if changes else section


def _absolute(value: Any, run_uri: str, below: str | None) -> Any:
    if isinstance(value, Mapping):
        return {name: storage.absolute(uri) for name, uri in value.items()}
    if value:
        return storage.absolute(value)
    return value if below is None else storage.join(run_uri, below)
