"""run.json next to checkpoints: which training they belong to. Written before the first one, again if it is damaged."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines import storage
from pipelines.cluster.progress import say
from pipelines.storage.folder_identity import claim, require_same

RUN_FILE = "run.json"
_ADVICE = "choose another run_uri"


class RunRecord:
    """The record of a training's identity in its folder of checkpoints.

    Raises BadInput that names the first difference where a readable record is of another training.
    """

    def __init__(self, folder_uri: str, identity: Mapping[str, Any]) -> None:
        self.folder_uri, self.identity = folder_uri, identity
        self.uri = storage.join(folder_uri, RUN_FILE)
        self._problem = "is missing"
        if storage.exists(self.uri):
            recorded = storage.read_object(self.uri) or {}
            self._problem = "" if recorded.get("digest") == identity_digest(recorded) else "is damaged"
            if not self._problem:
                require_same(folder_uri, recorded, identity, f"set it back, {_ADVICE}, or delete the folder")

    def write(self, has_checkpoint: bool) -> None:
        """Write the record where there is none, or a damaged one; said if checkpoints show that there was one."""
        if self._problem and (has_checkpoint or storage.exists(self.uri)):
            say(f"{self.uri} {self._problem}; made again")
            storage.delete_file(self.uri)
        claim(self.folder_uri, RUN_FILE, self.identity, _ADVICE)
        self._problem = ""


def identity_digest(identity: Mapping[str, object]) -> str:
    """sha256 over everything in an identity but its own `digest`."""
    content = {name: value for name, value in identity.items() if name != "digest"}
    return storage.sha256(json.dumps(content, sort_keys=True).encode())
