"""Deaths of a training as a step begins: by SIGKILL, or in this process by an exception that nothing catches."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ganrnn import distributed
from ganrnn.task import task_class
from pipelines.config.recipe import Recipe
from pipelines.train.job import TrainJob
from pipelines.train.worker import train_worker
from tests.pipelines.mortal import Death
from tests.pipelines.train.jobs import job_of


@dataclass(frozen=True)
class Killed:
    """`train_worker`, one rank of which is killed before a step."""

    rank: int
    step: int

    def __call__(self, job: TrainJob) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if distributed.rank() == self.rank:
                _die_before([self.step], job.recipe, lambda: os.kill(os.getpid(), signal.SIGKILL), patch)
            train_worker(job)


def train_through_deaths(recipe: Recipe, steps: Sequence[int]) -> None:
    """Train in this process, die before each of these steps once, and go on each time from the newest checkpoint."""

    def die() -> None:
        raise Death

    with pytest.MonkeyPatch.context() as patch:
        _die_before(list(steps), recipe, die, patch)
        for _ in steps:
            with pytest.raises(Death):
                train_worker(job_of(recipe))
        train_worker(job_of(recipe))


def _die_before(steps: list[int], recipe: Recipe, die: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    task_type = task_class(recipe.task.name)
    learn = task_type.step

    def die_or_learn(task: Any, batch: Any) -> Any:
        if steps and task.step_index == steps[0]:
            steps.pop(0)
            die()
        return learn(task, batch)

    patch.setattr(task_type, "step", die_or_learn)
