"""Progress of work that runs elsewhere, shown on the driver's terminal."""

import threading
from types import TracebackType
from typing import Any

from ray.util.queue import Queue
from tqdm import tqdm


class RemoteBar:
    """A bar with time left for as long as the block runs; what workers put into `queue` is shown on it.

    A report is (done so far, {name: number}), or a line of text for the terminal, or the row of a refusal
    (pipelines/cluster/errors.py), which is kept as `refused`.
    """

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.bar: dict[str, Any] = {"desc": description, "total": total, "unit": unit, "mininterval": 0.5}
        self.queue = Queue(actor_options={"num_cpus": 0})
        self.refused: dict[str, Any] = {}
        self.shown = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> "RemoteBar":
        self.shown.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.queue.put(None)
        self.shown.join()
        self.queue.shutdown()

    def _show(self) -> None:
        with tqdm(**self.bar) as bar:
            while (report := self.queue.get()) is not None:
                if isinstance(report, str):
                    bar.write(report)
                elif isinstance(report, dict):
                    self.refused = report
                else:
                    done, metrics = report
                    bar.set_postfix({name: f"{value:.3g}" for name, value in metrics.items()}, refresh=False)
                    bar.update(done - bar.n)
