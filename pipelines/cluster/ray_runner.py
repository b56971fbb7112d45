"""The runner on Ray: Ray Data's pools of actors, Ray's tasks and queue, Ray Train's ranks. Only this file knows Ray."""

import json
import logging
import os
import pickle
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import ray.data
from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer
from ray.util.annotations import RayDeprecationWarning
from ray.util.queue import Queue

from ganrnn.errors import BadInput, TryAgain
from pipelines import storage
from pipelines.cluster.messages import Refusal
from pipelines.cluster.progress import Bar
from pipelines.cluster.runner import Item, Job, Result, WorkerDied, Workers
from pipelines.cluster.surroundings import require_ray
from pipelines.storage import s3

_DEATHS = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, LocalRayletDiedError)
# So often a rank raises the same before its words are told as the reason.
_EQUAL_FAILURES = 3
# A pool is given no more blocks than this for each worker; a block is what a task of an actor works on.
_BLOCKS_PER_WORKER = 64


@contextmanager
def connected() -> Iterator[None]:
    """Connect for the length of a block; a session that runs already is used and not ended.

    After an error Ray ends with the process: `ray.shutdown` while work is under way can end the process at once, before
    the error is printed.
    """
    if ray.is_initialized():
        yield
        return
    require_ray()
    s3.fill_in()
    # Ray Train asks its workers for reports at this interval; the default of 2 s delays every end of training.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "1")
    if os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": _worker_environment()})
        except ConnectionError as error:
            reason = " ".join(str(error).split())[:200]
            raise TryAgain(
                f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']}, where no Ray cluster answers ({reason})"
            ) from error
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


class RayRunner:
    """See `Runner` for what the methods promise."""

    def require(self, section: str, workers: Workers) -> None:
        """Ray would wait for missing resources for ever, in silence."""
        resources = ray.cluster_resources()
        for name, per_worker in (("CPU", workers.cpus_per_worker), ("GPU", workers.gpus_per_worker)):
            available = resources.get(name, 0)
            if workers.num_workers * per_worker > available:
                raise BadInput(
                    f"{section}.num_workers is {workers.num_workers} with {per_worker:g} {name} each; "
                    f"the cluster has {available:g} {name}"
                )

    def num_cpus_of_a_node(self) -> int:
        """Of the largest node that is alive."""
        return max(int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["Alive"])

    @contextmanager
    def bar(self, description: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar, a queue that workers fill, and a thread that shows what comes out of it."""
        bar, queue = Bar(description, total, unit), Queue(actor_options={"num_cpus": 0})
        bar.reports = queue

        def show() -> None:
            while (message := queue.get()) is not None:
                bar.put(message)

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        with bar.tqdm:
            try:
                yield bar
            finally:
                queue.put(None)
                thread.join()
                queue.shutdown()

    def map(
        self,
        make: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        workers: Workers,
        attempts: int = 0,
    ) -> Generator[Result, None, None]:
        """A pool of Ray Data. At the end, at a refusal and when it is closed, Ray Data has stopped."""
        if not items:
            return
        most = min(workers.num_workers, len(items))
        # From items, which take no CPU to read: the pool may occupy all CPUs.
        num_blocks = len(items) if attempts else min(len(items), _BLOCKS_PER_WORKER * most)
        dataset = ray.data.from_items([{"item": pickle.dumps(item)} for item in items], override_num_blocks=num_blocks)
        options: dict[str, Any] = {}
        if attempts:
            dataset.context.max_errored_blocks = -1
            options["max_task_retries"] = attempts - 1
        with warnings.catch_warnings():
            # Ray 2.60 has no other way to bound the retries of an actor's task, and will have none until 2.64.
            warnings.simplefilter("ignore", RayDeprecationWarning)
            results = dataset.map(
                _Actor,  # type: ignore[arg-type]  # an actor class, whose instances are the function
                fn_constructor_args=[make],
                compute=ray.data.ActorPoolStrategy(min_size=min(workers.min_workers or most, most), max_size=most),
                num_cpus=workers.cpus_per_worker,
                num_gpus=workers.gpus_per_worker,
                **options,
            )
        stream = iter(results.iter_rows())
        try:
            for row in stream:
                yield _accepted(row["result"])
        finally:
            stream.close()  # type: ignore[attr-defined]  # a generator, which lets go of its executor
            # A thread of Ray Data that asks Ray for something while Ray shuts down ends the process before the reason
            # is told.
            for thread in threading.enumerate():
                if thread.name.startswith("StreamingExecutor"):
                    thread.join()

    def run(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        workers: Workers,
        environment: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> Result:
        """A task of Ray, tried again only where its process dies."""
        options: dict[str, Any] = {"num_cpus": workers.cpus_per_worker, "num_gpus": workers.gpus_per_worker}
        options["max_retries"] = retries
        if environment:
            options["runtime_env"] = {"env_vars": dict(environment)}
        try:
            result: Result = _accepted(ray.get(_task.options(**options).remote(function, arguments)))
        except _DEATHS as error:
            raise WorkerDied(str(error)) from error
        except RayTaskError as error:
            raise error.cause from error
        return result

    def train(self, worker: Callable[[Job], None], job: Job, workers: Workers, folder_uri: str, failures: int) -> None:
        """Ray Train. Its own checkpoint upload is not used: it drops files in silence when an object store refuses."""
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={"worker": worker, "job": job},
            scaling_config=ScalingConfig(
                num_workers=workers.num_workers,
                use_gpu=bool(workers.gpus_per_worker),
                resources_per_worker={"CPU": workers.cpus_per_worker, "GPU": workers.gpus_per_worker},
            ),
            run_config=RunConfig(
                name="ray_train",
                storage_path=storage.percent_encoded(folder_uri),
                callbacks=[EndAtRefusal()],  # type: ignore[list-item]  # mypy sees the class of Ray Train V1
                failure_config=FailureConfig(
                    max_failures=failures,
                    controller_failure_limit=failures,  # type: ignore[call-arg]  # Ray Train V2 has it
                ),
            ),
        )
        try:
            trainer.fit()
        except ControllerError as error:
            if isinstance(error.controller_failure, BadInput):
                raise error.controller_failure from error
            raise


class EndAtRefusal(UserCallback):
    """Ends a training at the first BadInput of any rank, while the other ranks may still wait for that one.

    It also ends one whose ranks, none of which has died, raise the same for the third time: another start would not
    do better.

    Ray Train starts workers again after whatever a rank raises. What a callback raises in its controller is no failure
    of a worker: it ends the training as a ControllerError. `test_refusals.py` says what breaks should that change.
    """

    def __init__(self) -> None:
        self.failures = Counter[str]()

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Called by the controller whenever it has seen that ranks have raised."""
        errors = [worker_exceptions[rank] for rank in sorted(worker_exceptions)]
        for error in errors:
            if isinstance(error, BadInput):
                raise error
        if any(type(error).__module__.startswith("ray.") for error in errors):
            return  # Ray's own words are for ranks that have died; what the others raise then follows from that
        for failure in sorted({f"{type(error).__name__}: {' '.join(str(error).split())}" for error in errors}):
            self.failures[failure] += 1
            if self.failures[failure] == _EQUAL_FAILURES:
                raise BadInput(f"the training has failed {_EQUAL_FAILURES} times in the same way: {failure}")


class _Actor:
    """An actor of a pool, which returns a BadInput as a value."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self.actor: Callable[[Any], Any] | None = None
        self.make = make

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"result": _answered(self._work, row["item"])}

    def _work(self, item: bytes) -> Any:
        self.actor = self.actor or self.make()  # a BadInput of __init__ would reach the driver as a dead actor
        return self.actor(pickle.loads(item))  # of this job's own driver


@ray.remote
def _task(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    return _answered(function, *arguments)


def _train_worker(config: dict[str, Any]) -> None:
    config["worker"](config["job"])


def _answered(function: Callable[..., Any], *arguments: Any) -> bytes:
    """In a worker: what a function returns, or its BadInput as a value, pickled."""
    try:
        return pickle.dumps(function(*arguments))
    except BadInput as error:
        return pickle.dumps(Refusal.of(error))


def _accepted(answer: bytes) -> Any:
    """On the driver: what a worker returned; a refusal is raised."""
    result = pickle.loads(answer)  # of this job's own workers
    if isinstance(result, Refusal):
        raise result.error()
    return result
