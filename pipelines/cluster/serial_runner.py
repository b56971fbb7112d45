"""A runner without Ray: everything in the driver's process, one item after the other.

It takes a third of the processor time of a pool of one and gives the same bytes. A crash is the crash of the driver.
"""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ganrnn.errors import BadInput
from pipelines.cluster.progress import Bar
from pipelines.cluster.runner import Item, Job, Result, Workers


class SerialRunner:
    """See `Runner` for what the methods promise."""

    def require(self, section: str, workers: Workers) -> None:
        """The driver's process stands in for any number of workers but has no room for a GPU."""
        if workers.gpus_per_worker:
            raise BadInput(f"{section}: {workers.gpus_per_worker:g} GPU a worker; a run without Ray uses CPUs alone")

    def num_cpus_of_a_node(self) -> int:
        """CPUs that this process may use."""
        return len(os.sched_getaffinity(0))

    @contextmanager
    def bar(self, description: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar that work reports to directly."""
        bar = Bar(description, total, unit)
        with bar.tqdm:
            yield bar

    def map(
        self,
        make: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        workers: Workers,
        attempts: int = 0,
    ) -> Generator[Result, None, None]:
        """One actor, constructed when the first result is asked for."""
        actor = make()
        for item in items:
            yield actor(item)

    def run(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        workers: Workers,
        environment: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> Result:
        """The call itself."""
        return function(*arguments)

    def train(self, worker: Callable[[Job], None], job: Job, workers: Workers, folder_uri: str, failures: int) -> None:
        """The only rank. Raises BadInput for more than one."""
        if workers.num_workers > 1:
            raise BadInput(f"train.num_workers is {workers.num_workers}; a run without Ray trains with 1")
        worker(job)
