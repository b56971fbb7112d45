"""Does `make test` notice a fault? Draws mutants by seed and runs, for each, the quick tests that execute its line.

    python -m tests.mutation.run [--number 120] [--seed 0] [--jobs 2]        (make mutants)

First the quick tier runs once under coverage, which says what tests execute which line. A mutant is noticed when one of
them fails or takes too long; a survivor is run again with the whole files of its tests, whose fixtures it may have
changed. Survivors have their reasons in survivors.json; figures go to tests/benchmarks/results/house.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import coverage

from tests.benchmarks.record import Figure, provenance, save, table
from tests.mutation.mutants import Mutant, draw
from tests.structure.layout import ROOT, tracked

SURVIVORS = Path(__file__).with_name("survivors.json")
COVERED = ("ganrnn", "pipelines")
TIMEOUT_SECONDS = 600
QUICK = ("-m", "not slow", "-q", "-p", "no:cacheprovider")

Tests = Mapping[tuple[str, int], set[str]]  # (file, line) -> node ids of tests that execute it


def measure(copy: Path) -> Tests:
    """Run the quick tier once under coverage, in a copy, where every test has to pass while there is no fault."""
    data = copy.with_name("coverage")
    environment = os.environ | {"COVERAGE_FILE": str(data), "COVERAGE_CORE": "ctrace"}
    options = [f"--cov={package}" for package in COVERED] + ["--cov-context=test", "--cov-report="]
    # What tests/structure holds is the form of the code, which has no faults to find.
    command = [sys.executable, "-m", "pytest", "tests", "--ignore=tests/structure", "-n", "2", *QUICK, *options]
    subprocess.run(command, cwd=copy, env=environment, check=True)
    measured = coverage.CoverageData(str(data))
    measured.read()
    tests: dict[tuple[str, int], set[str]] = {}
    for file in measured.measured_files():
        path = str(Path(file).relative_to(copy.resolve()))
        for line, contexts in measured.contexts_by_lineno(file).items():
            tests[path, line] = {context.rsplit("|", 1)[0] for context in contexts if context}
    return tests


def covering(mutant: Mutant, tests: Tests) -> set[str]:
    """The tests that execute the line of a mutant, or else its statement, of which not every line is told apart."""
    first, last = mutant.statement
    of_statement = (tests.get((mutant.path, line), set()) for line in range(first, last + 1))
    return tests.get((mutant.path, mutant.line)) or set().union(*of_statement)


def is_noticed(mutant: Mutant, tests: Iterable[str], copy: Path) -> bool:
    """Whether one of the tests fails, in a copy of the project, with the fault in it."""
    nodes = sorted(tests)
    if not nodes:
        return False
    file = copy / mutant.path
    source = file.read_bytes()
    file.write_bytes(mutant.apply(source))
    try:
        return _fails(nodes, copy) or _fails(sorted({node.split("::")[0] for node in nodes}), copy)
    finally:
        file.write_bytes(source)


def _fails(nodes: list[str], copy: Path) -> bool:
    arguments = copy / "build-nodes.txt"
    arguments.write_text("\n".join(nodes))
    command = [sys.executable, "-m", "pytest", "-x", "-n", "0", *QUICK, f"@{arguments}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1, 2, 3, 4):
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
        tests = measure(roots[0])
        mutants = draw(ROOT, tracked(*(f"{package}/*.py" for package in COVERED)), given.number, given.seed)
        copies: Queue[Path] = Queue()
        for root in roots:
            copies.put(root)

        def judge(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                noticed = is_noticed(mutant, covering(mutant, tests), copy)
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
