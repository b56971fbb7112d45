"""The quick tier under coverage: which tests execute a line, and how long each takes."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import coverage

from tests.mutation.mutants import Mutant

COVERED = ("ganrnn", "pipelines")
QUICK = ("-m", "not slow", "-q", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class QuickTier:
    """One run of the quick tier.

    tests:    node ids of the tests that execute a line, by (file, line)
    setups:   the files of tests whose fixtures execute it
    seconds:  by node id, fixtures included that no earlier test has set up
    """

    tests: Mapping[tuple[str, int], set[str]]
    setups: Mapping[tuple[str, int], set[str]]
    seconds: Mapping[str, float]

    def covering(self, mutant: Mutant) -> list[str]:
        """The tests that execute the line of a mutant, file by file, the quickest file first."""
        return self._ordered(_of_line(self.tests, mutant))

    def sharing(self, mutant: Mutant) -> list[str]:
        """The files of tests whose fixtures execute the line: all their tests may see it, not only the first."""
        return self._ordered(_of_line(self.setups, mutant))

    def expected_seconds(self, nodes: Iterable[str]) -> float:
        """How long tests or whole files take."""
        return sum(map(self._seconds, nodes))

    def _seconds(self, node: str) -> float:
        if "::" in node:
            return self.seconds.get(node, 0.0)
        return sum(seconds for name, seconds in self.seconds.items() if name.startswith(f"{node}::"))

    def _ordered(self, nodes: Iterable[str]) -> list[str]:
        by_file: dict[str, list[str]] = {}
        for node in sorted(nodes):
            by_file.setdefault(node.split("::")[0], []).append(node)
        return [node for file in sorted(by_file.values(), key=self.expected_seconds) for node in file]


def _of_line(found: Mapping[tuple[str, int], set[str]], mutant: Mutant) -> set[str]:
    """What executes the line of a mutant, or else its statement, of which not every line is told apart."""
    first, last = mutant.statement
    of_statement = (found.get((mutant.path, line), set()) for line in range(first, last + 1))
    return found.get((mutant.path, mutant.line)) or set().union(*of_statement)


def measure(copy: Path) -> QuickTier:
    """Run the quick tier once under coverage, in a copy, where every test has to pass while there is no fault."""
    data, times = copy.with_name("coverage"), copy.with_name("times.xml")
    environment = os.environ | {"COVERAGE_FILE": str(data), "COVERAGE_CORE": "ctrace"}
    options = [f"--cov={package}" for package in COVERED] + ["--cov-context=test", "--cov-report="]
    options += [f"--junit-xml={times}", "-o", "junit_family=xunit1"]  # the family that names the file of a test
    # What tests/structure holds is the form of the code, which has no faults to find.
    command = [sys.executable, "-m", "pytest", "tests", "--ignore=tests/structure", "-n", "2", *QUICK, *options]
    subprocess.run(command, cwd=copy, env=environment, check=True)
    measured = coverage.CoverageData(str(data))
    measured.read()
    tests: dict[tuple[str, int], set[str]] = {}
    setups: dict[tuple[str, int], set[str]] = {}
    for file in measured.measured_files():
        path = str(Path(file).relative_to(copy.resolve()))
        for line, contexts in measured.contexts_by_lineno(file).items():
            phases = [context.rsplit("|", 1) for context in contexts if context]
            tests[path, line] = {node for node, _ in phases}
            setups[path, line] = {node.split("::")[0] for node, phase in phases if phase == "setup"}
    cases = ElementTree.parse(times).iter("testcase")
    seconds = {f"{case.attrib['file']}::{case.attrib['name']}": float(case.attrib["time"]) for case in cases}
    return QuickTier(tests, setups, seconds)
