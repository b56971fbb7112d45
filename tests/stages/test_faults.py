"""Five of the schedules of fault_schedules.py: whatever happens on the way, the samples are those of a quiet run."""

from pathlib import Path

import pytest

from tests.stages import fault_schedules
from tests.stages.fault_schedules import Outcome, Reference
from tests.stages.tiny import Run

SEEDS = range(5)


@pytest.fixture(scope="module")
def reference(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(trained, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_of_faults(seed: int, trained: Run, reference: Reference, tmp_path: Path) -> None:
    outcome = Outcome()
    fault_schedules.run(seed, trained, reference, tmp_path, outcome, most_faults=1)
    print(outcome.line())
    assert sum(outcome.faults.values()) > 0
    assert (outcome.rows_lost, outcome.rows_doubled) == (0, 0), outcome.line()
    assert (outcome.objects_differing, outcome.objects_left_over) == (0, 0), outcome.line()
