"""The runner of a verb: Ray, embedded by default or an existing cluster where RAY_ADDRESS names one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pipelines.cluster.runner import Runner

_RUNNER: ContextVar[Runner | None] = ContextVar("runner", default=None)


@contextmanager
def session() -> Iterator[Runner]:
    """The runner for the length of a block: the one of an enclosing block, else Ray."""
    if runner := _RUNNER.get():
        yield runner
        return
    from pipelines.cluster import ray_runner  # Ray takes seconds to load, which a serial run does not need

    with ray_runner.connected(), using(ray_runner.RayRunner()) as runner:
        yield runner


@contextmanager
def using(runner: Runner) -> Iterator[Runner]:
    """Have every `session()` of a block work with this runner."""
    token = _RUNNER.set(runner)
    try:
        yield runner
    finally:
        _RUNNER.reset(token)
