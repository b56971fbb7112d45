"""The Ray session of a verb: embedded by default, an existing cluster where RAY_ADDRESS names one."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import ray.data

from ganrnn.errors import BadInput
from pipelines.storage import s3


@contextmanager
def session() -> Iterator[None]:
    """Connect for the length of a block; a session that is already there is used and left alone.

    After an error Ray is left to end with the process. Its own end, while work is under way, can end the process at
    once, before anybody was told the reason.
    """
    if ray.is_initialized():
        yield
        return
    s3.fill_in()
    # Ray Train asks its workers for reports at this interval; the default of 2 s delays every end of training.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "1")
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": _worker_environment()})
    else:
        # Every actor pool of Ray Data prints a false alarm of the C++ core (ray-project/ray#53727) to the terminal.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        # Workers speak through exceptions and progress reports; their logs stay in Ray's session folder.
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    # The verbs show their own progress.
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    yield
    ray.shutdown()


def _worker_environment() -> dict[str, str]:
    """What workers on other machines need of this process's variables, but for those that the job hands them itself."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("runtime_env") or {}
    return {name: value for name, value in s3.environment().items() if name not in job.get("env_vars", {})}


def require(section: str, num_workers: int, cpus_per_worker: float, gpus_per_worker: float) -> None:
    """Refuse more workers than the cluster holds: Ray would wait for them for ever, in silence."""
    held = ray.cluster_resources()
    for name, per_worker in (("CPU", cpus_per_worker), ("GPU", gpus_per_worker)):
        wanted, there = num_workers * per_worker, held.get(name, 0)
        if wanted > there:
            raise BadInput(
                f"{section}.num_workers is {num_workers} with {per_worker:g} {name} each; "
                f"the cluster has {there:g} {name}"
            )
