"""Keys whose values are URIs: declared where the key is, made absolute in one loop, refused there if they name nothing.

A URI that stays relative works on a laptop and fails on a cluster, whose workers run in other folders.
"""

import re
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import Any, Literal

from ganrnn.errors import BadInput
from pipelines import storage

MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")

_BELOW = "below"
_NAMES = "names"
URI = {_BELOW: None, _NAMES: "files"}  # metadata of a key without default, or of one that maps names to URIs
MODELS = {_BELOW: None, _NAMES: "model"}  # metadata of a key that maps names to URIs of models


def uri_field(
    default: str | None = "", *, below: str | None = None, names: Literal["files", "model", "database"] = "files"
) -> Any:
    """A key that holds a URI; left empty, it is the path `below` in the run's folder where that is given."""
    return field(default=default, metadata={_BELOW: below, _NAMES: names})


def is_uri_field(key: Any) -> bool:
    """Whether a dataclass field was declared by `uri_field` or with `metadata=URI`."""
    return _BELOW in key.metadata


def with_absolute_uris(section: Any, run_uri: str, prefix: str = "") -> Any:
    """A copy of a section, and of the sections in it, whose URIs are absolute; `run_uri` is the run's folder.

    Raises BadInput that names the key, which stands below `prefix`, where a value is no URI.
    """
    changes: dict[str, Any] = {}
    for key in fields(section):
        value, name = getattr(section, key.name), f"{prefix}{key.name}"
        if is_dataclass(value):
            changes[key.name] = with_absolute_uris(value, run_uri, f"{name}.")
        elif is_uri_field(key):
            changes[key.name] = _absolute(value, run_uri, key.metadata, name)
    return replace(section, **changes) if changes else section


def absolute_model(uri: str, key: str) -> str:
    """The URI of a model in the registry as it is, that of checkpoints made absolute."""
    if not uri.startswith("models:"):
        return storage.absolute(uri, key)
    if not MODEL_URI.fullmatch(uri):
        raise BadInput(f"{key} is {uri!r}; allowed are models:/NAME@ALIAS, models:/NAME/VERSION and checkpoints")
    return uri


def _absolute(value: Any, run_uri: str, metadata: Mapping[str, Any], key: str) -> Any:
    absolute = {"files": storage.absolute, "model": absolute_model, "database": storage.absolute_database}
    one = absolute[metadata[_NAMES]]
    if isinstance(value, Mapping):
        return {name: one(uri, f"{key}.{name}") for name, uri in value.items()}
    if value:
        return one(value, key)
    below = metadata[_BELOW]
    return value if below is None else storage.join(run_uri, below)
