"""Progress of work that runs elsewhere, shown on the driver's terminal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ray.util.queue import Queue
from tqdm import tqdm


@contextmanager
def remote_bar(description: str, total: int, unit: str) -> Iterator[Queue]:
    """A bar with time left for as long as the block runs; workers put (done so far, {name: number}) into the queue."""
    reports = Queue(actor_options={"num_cpus": 0})

    def show() -> None:
        with tqdm(total=total, desc=description, unit=unit, mininterval=0.5) as bar:
            while (report := reports.get()) is not None:
                done, metrics = report
                bar.set_postfix({name: f"{value:.3g}" for name, value in metrics.items()}, refresh=False)
                bar.update(done - bar.n)

    shown = threading.Thread(target=show, daemon=True)
    shown.start()
    try:
        yield reports
    finally:
        reports.put(None)
        shown.join()
        reports.shutdown()
