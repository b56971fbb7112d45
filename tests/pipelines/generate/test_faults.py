"""Three schedules of fault_schedules.py: whatever happens on the way, the samples are those of a quiet run."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial

import pytest

from tests.pipelines.generate import fault_schedules
from tests.pipelines.generate.fault_schedules import Outcome, Reference
from tests.pipelines.tiny import Run

SEEDS = {1: "node", 4: "quota", 9: "actor"}  # on the disk, on S3, on S3; all with prompts that do harm
AT_A_TIME = 2  # a schedule waits most of the time
pytestmark = pytest.mark.slow("seven drivers with a Ray of their own")


@pytest.fixture(scope="module")
def outcomes(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Future[Outcome]]]:
    """All schedules under way."""
    scratch = tmp_path_factory.mktemp("schedules")
    reference = Reference(trained, tmp_path_factory.mktemp("undisturbed"))
    reference.samples(with_harm=True)  # before two would make them
    with ProcessPoolExecutor(AT_A_TIME, multiprocessing.get_context("spawn")) as pool:
        play = partial(pool.submit, fault_schedules.play, scratch, trained, reference, most_faults=1)
        yield {seed: play(seed=seed) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_of_faults(seed: int, outcomes: dict[int, Future[Outcome]]) -> None:
    outcome = outcomes[seed].result()
    print(outcome.line())
    assert outcome.faults[SEEDS[seed]] > 0
    assert (outcome.rows_lost, outcome.rows_doubled) == (0, 0), outcome.line()
    assert (outcome.objects_differing, outcome.objects_left_over) == (0, 0), outcome.line()
