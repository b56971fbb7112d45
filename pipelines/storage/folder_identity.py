"""One purpose for each folder: what its content is a function of is recorded before anything else is written."""

from collections.abc import Mapping
from typing import Any

from ganrnn.errors import BadInput
from pipelines.flat import flat
from pipelines.storage.files import commit_json, exists, read_json
from pipelines.storage.uris import join


def claim(folder_uri: str, file_name: str, identity: Mapping[str, Any], advice: str) -> None:
    """Write `identity` to a new folder; BadInput names the first difference where it holds another one.

    `advice` says which key to change to go elsewhere.
    """
    require_unclaimed(folder_uri, file_name, identity, advice)
    uri = join(folder_uri, file_name)
    if not exists(uri):
        commit_json(uri, identity)


def require_unclaimed(folder_uri: str, file_name: str, identity: Mapping[str, Any], advice: str) -> None:
    """The check of `claim` alone: BadInput where the folder belongs to another identity, nothing written."""
    uri = join(folder_uri, file_name)
    if not exists(uri):
        return
    require_same(folder_uri, read_json(uri), identity, f"set it back, {advice}, or delete the folder")


def require_same(folder_uri: str, recorded: Mapping[str, Any], identity: Mapping[str, Any], advice: str) -> None:
    """BadInput for the first value of `identity` that differs from `recorded`, which the folder was begun with."""
    before = flat(recorded)
    for name, value in flat(identity).items():
        if before.get(name) != value:
            raise BadInput(f"{folder_uri} was begun with {name} = {before.get(name)!r}, now it is {value!r}; {advice}")
