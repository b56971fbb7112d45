"""One MLflow store for all promotions, and a registered name of its own for each test."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.config.loader import parse_recipe
from pipelines.config.tracking import TrackingConfig
from tests.pipelines.mlflow_store import new_store
from tests.pipelines.promote.attempts import THRESHOLDS, Job


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    return new_store(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def job(store: TrackingConfig, tmp_path: Path) -> Job:
    recipe = parse_recipe({"name": tmp_path.name, "run_uri": str(tmp_path), "task": {"name": "text_to_image"}}, "test")
    config = replace(THRESHOLDS, registered_model=tmp_path.name)
    return Job(replace(recipe, tracking=store, promote=config))
