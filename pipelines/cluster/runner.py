"""Where work runs: on Ray's workers (`ray_runner.py`) or in the driver's own process (`serial_runner.py`).

    with session() as runner:
        for result in runner.map(partial(ShardWriter, work), items, workers):
            ...

What the verbs ask for is this interface; Ray itself is known to `pipelines/cluster` alone. A runner decides where and
when a function runs, never what it computes: results are equal on all of them.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipelines.cluster.progress import Bar

Item = TypeVar("Item")
Result = TypeVar("Result")
Job = TypeVar("Job")


@dataclass(frozen=True)
class Workers:
    """How many, and what each occupies; a pool starts with `min_workers` (0: all) and grows as there is room."""

    num_workers: int = 1
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    min_workers: int = 0


class WorkerDied(Exception):
    """A process was killed, ran out of memory or lost its node while it worked."""


class Runner(Protocol):
    """Pools of actors, single tasks, data-parallel ranks, and bars that show how far they are."""

    def require(self, section: str, workers: Workers) -> None:
        """Raise BadInput, naming the recipe's section, for more workers than there is room for."""
        ...

    def num_cpus_of_a_node(self) -> int:
        """CPUs of the largest node, all of which one task may occupy."""
        ...

    def bar(self, description: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A progress bar on the driver's terminal; remote work puts messages into its `reports`."""
        ...

    def map(
        self,
        make: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        workers: Workers,
        attempts: int = 0,
    ) -> Generator[Result, None, None]:
        """Results of all items in any order, by a pool of actors, each constructed once on its worker.

        A BadInput raised for an item is raised here. With `attempts` an item whose actor dies so often is left out of
        the results; without, Ray restarts actors as it sees fit.
        """
        ...

    def run(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        workers: Workers,
        environment: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> Result:
        """One call in a process of its own. Raises its BadInput, and WorkerDied where the process dies too often."""
        ...

    def train(self, worker: Callable[[Job], None], job: Job, workers: Workers, folder_uri: str, failures: int) -> None:
        """`worker(job)` on `num_workers` ranks of one process group, started again up to `failures` times.

        `folder_uri` is where the runner may keep its own files. A BadInput of any rank is raised here: it ends the
        other ranks, and the workers are not started again.
        """
        ...
