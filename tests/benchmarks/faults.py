"""The nightly run of fault schedules: many, a line after each, the sums in tests/benchmarks/results/scale.json.

    make faults      or      PYTHONPATH=. python tests/benchmarks/faults.py --num 50 [--first 0] [--jobs 3]

About a minute a schedule, most of it waiting; exit code 1 where a row or a file is not what it should be.
"""

import argparse
import functools
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.benchmarks.record import Figure, provenance, save
from tests.benchmarks.scale import RESULTS
from tests.pipelines import tiny
from tests.pipelines.generate import fault_schedules


def main() -> None:
    """Run the schedules of seeds `first` to `first + num`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="seed of the first schedule")
    parser.add_argument("--jobs", type=int, default=1, help="schedules at a time")
    given = parser.parse_args()
    options = f"--num {given.num} --first {given.first} --jobs {given.jobs}"
    about = provenance(f"PYTHONPATH=. python tests/benchmarks/faults.py {options}")
    outcome = fault_schedules.Outcome()
    seeds = range(given.first, given.first + given.num)
    with tempfile.TemporaryDirectory(prefix="ganrnn-faults-") as folder:
        scratch = Path(folder)
        trained = tiny.trained(scratch / "trained")
        reference = fault_schedules.Reference(trained, scratch)
        for with_harm in (False, True):
            reference.samples(with_harm)  # before anyone else would make them too
        with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
            for seed, one in zip(
                seeds,
                pool.map(functools.partial(fault_schedules.play, scratch, trained, reference), seeds),
                strict=True,
            ):
                outcome += one
                print(f"seed {seed}: {outcome.line()}", flush=True)
    numbers = {
        "fault_schedules": outcome.schedules,
        "faults_injected": sum(outcome.faults.values()),
        "rows_lost": outcome.rows_lost,
        "rows_doubled": outcome.rows_doubled,
        "objects_differing": outcome.objects_differing + outcome.objects_left_over,
    }
    details = {"faults": dict(sorted(outcome.faults.items())), "seeds": [given.first, given.first + given.num - 1]}
    save(RESULTS, [Figure(name, float(value), details) for name, value in numbers.items()], about)
    sys.exit(any((outcome.rows_lost, outcome.rows_doubled, numbers["objects_differing"])))


if __name__ == "__main__":
    main()
