"""Show the progress of a generation, read from its files alone.

ganrnn status runs/demo/samples
ganrnn status s3://bucket/samples
"""

from argparse import Namespace
from datetime import timedelta

from pipelines import storage
from pipelines.generate.status import Status, status


def act(options: Namespace) -> None:
    """Print a line for each folder of samples, and which driver works on them."""
    folders, driver = status(storage.absolute(options.samples_uri, "SAMPLES_URI"))
    for folder in folders:
        print(_line(folder))
    num_finished = sum(folder.totals is not None for folder in folders)
    if len(folders) > 1:
        print(f"{num_finished:,} of {len(folders):,} folders finished")
    if num_finished < len(folders):
        print(f"worked on by {driver}" if driver else "no driver is running; run the same command again to resume")


def _line(folder: Status) -> str:
    share = folder.num_done / folder.num_prompts if folder.num_prompts else 1.0
    progress = f"{folder.uri}: {folder.num_done:,} of {folder.num_prompts:,} prompts ({share:.1%})"
    if folder.totals is not None:
        return f"{progress}, finished: " + ", ".join(f"{name} {value:,}" for name, value in folder.totals.items())
    if folder.seconds_left is None:
        return progress
    time_left = timedelta(seconds=round(folder.seconds_left))
    return f"{progress}, {folder.prompts_per_second:,.1f} prompts/s, {time_left} left"
