"""A progress bar on the driver's terminal for work that runs elsewhere, and lines above it."""

import sys

from tqdm import tqdm

from pipelines.cluster.messages import Line, Message, Progress, Reports


def say(line: str) -> None:
    """Write a line to stderr, above whatever bar is shown."""
    tqdm.write(line, file=sys.stderr)


class Bar:
    """Shows messages as they come. `reports` is what remote work puts them into."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.tqdm = tqdm(desc=description, total=total, unit=unit, mininterval=0.5)
        self.reports: Reports = self

    def put(self, message: Message) -> None:
        """Show a message; with it the bar of the driver's process is itself a place for reports."""
        match message:
            case Line(text):
                self.tqdm.write(text)
            case Progress(done, metrics):
                self.tqdm.set_postfix({name: f"{value:.3g}" for name, value in metrics.items()}, refresh=False)
                self.tqdm.update(done - self.tqdm.n)
