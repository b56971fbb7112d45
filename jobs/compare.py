"""Compare two evaluated runs, or say why their scores are not comparable.

ganrnn compare runs/demo runs/scene_attributes
"""

from argparse import Namespace
from collections.abc import Sequence

from pipelines import storage
from pipelines.evaluate.compare import MetricComparison, compare
from pipelines.report.scores import format_number


def act(options: Namespace) -> None:
    """Print the table."""
    lines = compare(storage.absolute(options.run_a, "RUN_A"), storage.absolute(options.run_b, "RUN_B"))
    print(f"A  {options.run_a}\nB  {options.run_b}\n")
    print(table(lines))
    for line in lines:
        if line.why_unlike:
            print(f"\n{line.metric} is not compared: {line.why_unlike}.")
    print("\nWithout an interval nobody can say whether a difference is more than chance.")


def table(lines: Sequence[MetricComparison]) -> str:
    """A line for each metric: both values, their difference with its 95 % interval, which is better."""
    rows = [("metric", "A", "B", "A - B (95 %)", "better")]
    for line in lines:
        difference = "not compared" if line.why_unlike else format_number(line.a - line.b)
        interval = "" if line.interval is None else " ({} .. {})".format(*map(format_number, line.interval))
        rows.append((line.metric, format_number(line.a), format_number(line.b), difference + interval, line.better))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}  {difference:<{widths[3]}}  {better}".rstrip()
        for name, a, b, difference, better in rows
    )
