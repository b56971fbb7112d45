"""One Ray session and one tiny trained run for all tests that need them."""

import os
from collections.abc import Callable, Iterator

import pytest
import ray

from pipelines.ingest import ingest
from pipelines.train import train
from tests.stages.tiny import Run


@pytest.fixture(scope="session")
def session() -> Iterator[None]:
    """Two CPUs whatever the machine has; `pipelines.cluster.session` uses a session that is there."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def trained(session: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ingested and trained, by two workers, in one go. Tests read it and write elsewhere."""
    folder = tmp_path_factory.mktemp("trained")
    store = (f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db", f"tracking.artifact_uri={folder}/mlartifacts")
    run = Run(folder, (f"ingest.dataset_uri={folder}/dataset", *store))
    ingest(run.recipe())
    train(run.recipe())
    return run


@pytest.fixture
def make_run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Run]:
    """New folders that share the data set, the model and the MLflow store of the trained run."""

    def make() -> Run:
        model = f"generate.model_uri={trained.folder}/checkpoints"
        return Run(tmp_path_factory.mktemp("run"), (*trained.shared, model))

    return make
