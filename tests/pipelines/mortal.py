"""Deaths without processes: an exception that nothing catches, and a serial runner whose actors die by it."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from pipelines.cluster.runner import Item, Result, WorkerDied, Workers
from pipelines.cluster.serial_runner import SerialRunner


class Death(BaseException):
    """Stands for the end of a process, as by SIGKILL."""


class MortalRunner(SerialRunner):
    """Has an actor or a task that raises Death replaced or reported as Ray does it where a process dies."""

    def map(
        self,
        make: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        workers: Workers,
        attempts: int = 0,
    ) -> Generator[Result, None, None]:
        """An item is left out after `attempts` deaths."""
        actor = make()
        for item in items:
            for _ in range(attempts or 1):
                try:
                    result = actor(item)
                except Death:
                    actor = make()
                else:
                    yield result
                    break

    def run(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        workers: Workers,
        environment: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> Result:
        """WorkerDied where the call dies more often than it is tried again."""
        for attempt in range(retries + 1):
            try:
                return function(*arguments)
            except Death as death:
                if attempt == retries:
                    raise WorkerDied("the process of the call") from death
        raise AssertionError("unreachable")
