"""How far a generation is, from its files alone.

ganrnn status runs/demo/samples
ganrnn status s3://bucket/samples
"""

import argparse
from datetime import timedelta

from jobs import cli
from pipelines import storage
from pipelines.generate.status import Status, status


def show(samples_uri: str) -> None:
    """Print a line for each folder of samples, and who works on them."""
    found, holder = status(storage.absolute(samples_uri))
    for each in found:
        print(_line(each))
    if len(found) > 1:
        print(f"{sum(each.totals is not None for each in found):,} of {len(found):,} folders finished")
    if any(each.totals is None for each in found):
        print(f"worked on by {holder}" if holder else "nobody works on it: run the same command again to go on")


def _line(each: Status) -> str:
    share = f"{each.uri}: {each.num_done:,} of {each.num_prompts:,} prompts ({each.num_done / each.num_prompts:.1%})"
    if each.totals is not None:
        return f"{share}, finished: " + ", ".join(f"{name} {value:,}" for name, value in each.totals.items())
    if each.seconds_left is None:
        return share
    return f"{share}, {each.prompts_per_second:,.1f} prompts/s, {timedelta(seconds=round(each.seconds_left))} left"


def main() -> None:
    """Entry point of `ganrnn status`."""
    parser = argparse.ArgumentParser(prog="ganrnn status", description=cli.VERBS["status"])
    parser.add_argument("samples_uri", metavar="OUTPUT_URI")
    given = parser.parse_args()
    cli.finish(lambda: show(given.samples_uri))


if __name__ == "__main__":
    main()
