"""32 raters at once whose server is killed again and again: answers that were acknowledged and are lost, or doubled.

Raters are threads that send again what was not acknowledged, as the page does; the server is `ganrnn rate` in a process
of its own, killed with SIGKILL after equal parts of all answers and started again on the same study.
"""

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.record import Figure, digits
from tests.pipelines.rate import rating

NUM_RATERS, NUM_ITEMS, NUM_KILLS = 32, 100, 5


def durability() -> list[Figure]:
    """How many acknowledged answers are not in the study as they were given, and how many are there twice."""
    with TemporaryDirectory(prefix="ganrnn-rating-") as held:
        folder = Path(held)
        samples = rating.pictures(f"{folder}/samples.parquet", 60)
        reference = rating.pictures(f"{folder}/reference.parquet", 60, tone=160)
        settings = (f"rate.num_items={NUM_ITEMS}", "rate.requests_per_second=1000")
        with rating.serving(folder, samples, reference, *settings) as server:
            raters = [rating.Rater(server.address, token) for token in rating.tokens(server, NUM_RATERS)]
            begin = time.monotonic()
            stored = rating.killed_while_rating(server, raters, NUM_KILLS)
            seconds = time.monotonic() - begin
    given = {(rater.name, trial, choice) for rater in raters for trial, choice in rater.acknowledged.items()}
    doubled = sum(count - 1 for count in Counter((rater, trial) for rater, trial, _ in stored).values())
    details = {
        "raters": NUM_RATERS,
        "kills": NUM_KILLS,
        "acknowledged": len(given),
        "stored": len(stored),
        "requests_failed": sum(rater.num_failed_requests for rater in raters),
        "seconds": digits(seconds),
    }
    return [
        Figure("answers_lost", len(given - set(stored)), details),
        Figure("answers_doubled", doubled, details),
        Figure("answers_acknowledged", len(given), details),
    ]
