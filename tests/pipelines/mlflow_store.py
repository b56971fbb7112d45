"""MLflow databases as copies of one: a new one is migrated through all versions of its schema, which takes seconds."""

import functools
import tempfile
from pathlib import Path

from pipelines.config.tracking import TrackingConfig
from pipelines.tracking.runs import client_of


def new_store(folder: Path, experiment: str = "tests") -> TrackingConfig:
    """An empty store below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").write_bytes(_empty_database())
    return TrackingConfig(f"sqlite:///{folder}/mlflow.db", f"{folder}/mlartifacts", experiment)


def store_settings(folder: Path) -> tuple[str, str]:
    """The same as overrides of a recipe."""
    store = new_store(folder)
    return f"tracking.tracking_uri={store.tracking_uri}", f"tracking.artifact_uri={store.artifact_uri}"


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        client_of(f"sqlite:///{folder}/mlflow.db")
        return Path(folder, "mlflow.db").read_bytes()
