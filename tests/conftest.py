"""One Ray session and one tiny trained run for all tests that need them."""

import os
from collections.abc import Callable, Iterator

import boto3
import fsspec
import pytest
import ray
from moto.server import ThreadedMotoServer

from tests.pipelines import tiny
from tests.pipelines.tiny import Run


@pytest.fixture(scope="session")
def session() -> Iterator[None]:
    """Two CPUs whatever the machine has; `pipelines.cluster.session` uses a session that is there.

    Its workers know the harmful prompts of site/sitecustomize.py, which no other prompt is like.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ["PYTHONPATH"] = tiny.HARM
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def trained(session: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ingested and trained, by two workers, in one go. Tests read it and write elsewhere."""
    return tiny.trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def make_run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Run]:
    """New folders that share the data set, the model and the MLflow store of the trained run."""

    def make() -> Run:
        model = f"generate.model_uri={trained.folder}/checkpoints"
        return Run(tmp_path_factory.mktemp("run"), (*trained.shared, model))

    return make


@pytest.fixture(scope="module")
def s3_bucket() -> Iterator[str]:
    """A bucket of moto's server on 127.0.0.1: in memory, any credentials."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        variables.setenv("AWS_ACCESS_KEY_ID", "key")
        variables.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        variables.setenv("AWS_DEFAULT_REGION", "us-east-1")
        variables.setenv("AWS_EC2_METADATA_DISABLED", "true")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        boto3.client("s3").create_bucket(Bucket="pictures")
        yield "s3://pictures"
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()
