"""Where a model comes from: a checkpoint folder, a folder of checkpoints, or the MLflow registry.

folder = fetch("models:/scenes@champion", recipe.tracking, Path(scratch))
"""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ganrnn.checkpoint import DESCRIPTION, SAMPLER_FILES, describe
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.tracking import TrackingConfig

_STEP = re.compile(r"step-(\d+)")
_BEST = "@best"


def fetch(model_uri: str, tracking: TrackingConfig, directory: Path, files: Sequence[str] = SAMPLER_FILES) -> Path:
    """Copy files of a model into `directory` and return it: all that sampling needs, or fewer with checkpoint.json.

    `model_uri` is a folder with checkpoint.json; a folder of checkpoints `step-*`, for the newest complete one; such a
    folder and `@best`, for the one with the best distance that the guard measured; models:/NAME@ALIAS; or
    models:/NAME/VERSION. Raises BadInput for anything else.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if model_uri.startswith("models:"):
        # Importing mlflow takes seconds and 150 MB, which actors that sample from a folder need not pay.
        from pipelines.tracking.registry import download_model

        download_model(tracking, model_uri, directory, files)
    else:
        folder = _checkpoint(model_uri)
        for name in files:
            (directory / name).write_bytes(storage.read_bytes(storage.join(folder, name)))
    describe((directory / DESCRIPTION).read_bytes(), storage.join(model_uri, DESCRIPTION))
    return directory


def fetch_files(model_uri: str, tracking: TrackingConfig) -> dict[str, bytes]:
    """The two files of `fetch` in memory, by name."""
    with TemporaryDirectory() as directory:
        folder = fetch(model_uri, tracking, Path(directory))
        return {name: (folder / name).read_bytes() for name in SAMPLER_FILES}


def _checkpoint(uri: str) -> str:
    if uri.endswith(_BEST):
        return _best(uri.removesuffix(_BEST))
    if storage.exists(storage.join(uri, DESCRIPTION)):
        return uri
    steps = [match for match in map(_STEP.fullmatch, storage.list_folders(uri)) if match]
    for match in sorted(steps, key=lambda step: int(step[1]), reverse=True):
        folder = storage.join(uri, match[0])
        if storage.exists(storage.join(folder, DESCRIPTION)):
            return folder
    raise BadInput(
        f"{uri} holds no model; allowed are a folder with {DESCRIPTION}, a folder of checkpoints step-*, "
        f"such a folder and {_BEST}, models:/NAME@ALIAS and models:/NAME/VERSION"
    )


def _best(uri: str) -> str:
    newest = storage.join(_checkpoint(uri), DESCRIPTION)
    step = storage.read_json(newest)["position"].get("guard", {}).get("best_step")
    if step is None:
        raise BadInput(f"{newest}: its training looked at no samples, so none is the best; leave out {_BEST}")
    return storage.join(uri, f"step-{step:08d}")
