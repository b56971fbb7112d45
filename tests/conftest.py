"""What all tests share: one thread, a runner without Ray, one tiny trained run; and what a slow test has to say.

tests/README.md describes the two tiers.
"""

import os
from collections.abc import Callable, Iterator

import pytest
import torch

from pipelines.cluster.serial_runner import SerialRunner
from pipelines.cluster.session import using
from tests import tiers
from tests.pipelines import tiny
from tests.pipelines.tiny import Run

# The tensors of tests are too small to share out between threads, and `make test` runs two processes on two cores.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a slow test without a reason, and a quick one that starts Ray in a file of its own."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if reason := tiers.refusal(item.get_closest_marker("slow"), fixtures, item.path.name):
            raise pytest.UsageError(f"{item.nodeid}: {reason}")


@pytest.fixture(scope="session", autouse=True)
def serial() -> Iterator[None]:
    """Every verb works in this process, unless a test asks for `on_ray`; on one CPU, whatever it may be about."""
    with pytest.MonkeyPatch.context() as patch, using(SerialRunner()):
        patch.setattr(SerialRunner, "num_cpus_of_a_node", lambda self: 1)
        yield


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray with two CPUs whatever the machine has; its workers know the harmful prompts of site/sitecustomize.py."""
    import ray

    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("PYTHONPATH", tiny.HARM)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture
def on_ray(ray_session: None) -> Iterator[None]:
    """Verbs of this test work on Ray."""
    from pipelines.cluster.ray_runner import RayRunner

    with using(RayRunner()):
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
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
    import boto3
    import fsspec
    from moto.server import ThreadedMotoServer

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
