"""A folder of checkpoints: step-00000500/, step-00001000/ ..., each counted once all its files are written."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage

_STEP = re.compile(r"step-(\d{8}|[1-9]\d{8,})")


@dataclass(frozen=True)
class SavedCheckpoint:
    """One committed checkpoint."""

    uri: str
    step: int

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """`checkpoint.json` and the named files."""
        return {name: storage.read_bytes(storage.join(self.uri, name)) for name in (checkpoint.DESCRIPTION, *names)}

    def problem(self) -> str:
        """What is damaged, where a file does not have the digest that the description states.

        Raises BadInput where a file cannot be read.
        """
        files = self.read(checkpoint.TRAINING_FILES)
        try:
            checkpoint.verify(files, self.uri)
        except BadInput as error:
            return str(error)
        return ""


class Checkpoints:
    """Commits checkpoints and finds the newest; older ones go only after a newer one is whole."""

    def __init__(self, uri: str, num_kept: int) -> None:
        self.uri, self.num_kept = uri, num_kept

    def commit(self, step: int, files: Mapping[str, bytes], best_step: int | None = None) -> str:
        """Write a checkpoint, its description last; returns its URI. That of `best_step` is never removed."""
        uri = storage.join(self.uri, _folder(step))
        storage.commit_files(uri, files, last=checkpoint.DESCRIPTION)
        for old in self._whole()[: -self.num_kept]:
            if old.step != best_step:
                _delete(old)
        return uri

    def go_back(self, step: int | None) -> int:
        """Remove all checkpoints after a step and return it; with None remove nothing, and return the newest step."""
        if step is None:
            newest = self.newest()
            return newest.step if newest else 0
        for later in self._whole():
            if later.step > step:
                _delete(later)
        return step

    def newest(self, tell: Callable[[str], None] | None = None) -> SavedCheckpoint | None:
        """The newest whole checkpoint whose files have the digests that its description states, if there is one.

        `tell` gets a line for each damaged checkpoint that is passed over.

        Raises BadInput where a file cannot be read: passed over, it would cost the steps since an older checkpoint.
        """
        for saved in reversed(self._whole()):
            names = {storage.relative(uri, saved.uri) for uri in storage.list_files(saved.uri)}
            missing = [name for name in checkpoint.TRAINING_FILES if name not in names]
            problem = f"{saved.uri} lacks {', '.join(missing)}" if missing else saved.problem()
            if not problem:
                return saved
            if tell:
                tell(f"{problem}; this checkpoint is passed over, its steps are made again")
        return None

    def _whole(self) -> list[SavedCheckpoint]:
        steps = [int(match[1]) for match in map(_STEP.fullmatch, storage.list_folders(self.uri)) if match]
        started = [SavedCheckpoint(storage.join(self.uri, _folder(step)), step) for step in steps]
        return [saved for saved in started if storage.exists(storage.join(saved.uri, checkpoint.DESCRIPTION))]


def _folder(step: int) -> str:
    return f"step-{step:08d}"


def _delete(saved: SavedCheckpoint) -> None:
    """Remove the files of a checkpoint, its description first, and the folder where nothing else lies in it."""
    for name in (checkpoint.DESCRIPTION, *checkpoint.TRAINING_FILES):
        storage.delete_file(storage.join(saved.uri, name))
    if not storage.list_others(saved.uri, []):
        storage.delete_folder(saved.uri)
