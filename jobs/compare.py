"""Two evaluated runs beside each other, or the reason why their scores may not be compared.

ganrnn compare runs/demo runs/demo_taught
"""

import argparse
from collections.abc import Sequence

from jobs import cli
from pipelines import storage
from pipelines.evaluate.compare import Line, compare
from pipelines.report.scores import format_number


def table(lines: Sequence[Line]) -> str:
    """A line a metric: both values, their difference with its 95 % interval, which is better."""
    rows = [("metric", "A", "B", "A - B (95 %)", "better")]
    for line in lines:
        difference = format_number(line.a - line.b)
        between = "" if line.interval is None else " ({} .. {})".format(*map(format_number, line.interval))
        rows.append((line.metric, format_number(line.a), format_number(line.b), difference + between, line.better))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}  {difference:<{widths[3]}}  {better}".rstrip()
        for name, a, b, difference, better in rows
    )


def act(run_a: str, run_b: str) -> None:
    """Print the table."""
    lines = compare(storage.absolute(run_a), storage.absolute(run_b))
    print(f"A  {run_a}\nB  {run_b}\n")
    print(table(lines))
    print("\nWithout an interval nobody can say whether a difference is more than chance.")


def main() -> None:
    """Entry point of `ganrnn compare`."""
    parser = argparse.ArgumentParser(prog="ganrnn compare", description=cli.VERBS["compare"])
    parser.add_argument("run_a", metavar="RUN_A", help="folder or URI that evaluate wrote report.json to")
    parser.add_argument("run_b", metavar="RUN_B", help="another one")
    given = parser.parse_args()
    cli.finish(lambda: act(given.run_a, given.run_b))


if __name__ == "__main__":
    main()
