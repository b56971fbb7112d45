"""Does `make test` notice a fault? Draws mutants by seed and runs, for each, the quick tests that execute its line.

    python -m tests.mutation.run [--number 120] [--seed 0] [--jobs 2]        (make mutants)

First the quick tier runs once under coverage, which says what tests execute which line. A mutant is noticed when one of
them fails or has no end; where fixtures execute its line, all tests of their files are run as well. Survivors have
their reasons in survivors.json; figures go to tests/benchmarks/results/house.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tests.benchmarks.record import Figure, provenance, save, table
from tests.mutation.mutants import Mutant, draw
from tests.mutation.quick_tier import COVERED, QUICK, QuickTier, measure
from tests.structure.layout import ROOT, tracked

SURVIVORS = Path(__file__).with_name("survivors.json")
LEAST_SECONDS, TIMES_AS_LONG = 120, 10  # after so long, tests that have no end count as failed
MOST_KIBIBYTES = 14 * 2**20  # of memory: a fault can ask for all there is
NO_TESTS = 5  # pytest's exit status


def is_noticed(mutant: Mutant, tier: QuickTier, copy: Path) -> bool:
    """Whether a test fails, in a copy of the project, with the fault in it."""
    file = copy / mutant.path
    source = file.read_bytes()
    file.write_bytes(mutant.apply(source))
    try:
        return any(_fails(nodes, tier, copy) for nodes in (tier.covering(mutant), tier.sharing(mutant)) if nodes)
    finally:
        file.write_bytes(source)


def _fails(nodes: list[str], tier: QuickTier, copy: Path) -> bool:
    arguments = copy / "build-nodes.txt"
    arguments.write_text("\n".join(nodes))
    limited = ["sh", "-c", f'ulimit -d {MOST_KIBIBYTES}; exec "$@"', "sh"]
    command = [*limited, sys.executable, "-m", "pytest", "-x", "-n", "0", *QUICK, f"@{arguments}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    limit = LEAST_SECONDS + TIMES_AS_LONG * tier.expected_seconds(nodes)
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        print(f"no end after {limit:.0f} s", flush=True)
        return True
    if done.returncode == NO_TESTS:
        raise RuntimeError(done.stdout[-2_000:] + done.stderr[-2_000:])
    return done.returncode != 0


def copied(work: Path, number: int) -> Path:
    """A copy of the project's files, whose neighbours are those of the project."""
    copy = work / str(number) / "project"
    for path in tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, copy / path)
    shared = ROOT.parent / "shared"
    if shared.exists():
        copy.with_name("shared").symlink_to(shared)
    return copy


def main() -> None:
    """Print a line for each mutant, then the survivors and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    reasons = json.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        roots = [copied(work, number) for number in range(given.jobs)]
        tier = measure(roots[0])
        mutants = draw(ROOT, tracked(*(f"{package}/*.py" for package in COVERED)), given.number, given.seed)
        copies: Queue[Path] = Queue()
        for root in roots:
            copies.put(root)

        def judge(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                noticed = is_noticed(mutant, tier, copy)
            finally:
                copies.put(copy)
            print(f"{'noticed ' if noticed else 'SURVIVED'}  {mutant}", flush=True)
            return noticed

        with ThreadPoolExecutor(given.jobs) as threads:
            noticed = list(threads.map(judge, mutants))
    survivors = [str(mutant) for mutant, is_seen in zip(mutants, noticed, strict=True) if not is_seen]
    print(f"\n{sum(noticed)} of {len(mutants)} noticed in {(time.monotonic() - started) / 60:.0f} minutes")
    for survivor in survivors:
        print(f"  {survivor}\n      {reasons.get(survivor, 'no reason yet')}")
    details = {"seed": given.seed, "survivors": survivors}
    figures = [Figure("mutants", float(len(mutants)), details), Figure("mutants_noticed", float(sum(noticed)), {})]
    print(table(figures))
    save(ROOT / "tests/benchmarks/results/house.json", figures, provenance("make mutants"))


if __name__ == "__main__":
    main()
