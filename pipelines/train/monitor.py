"""Watches a training from inside, on all ranks alike: metrics of every step, samples now and then, one verdict."""

from collections.abc import Mapping
from typing import Any

import torch

from ganrnn import distributed
from ganrnn.task import task_class
from ganrnn.training.guard import Guard, Memory
from ganrnn.training.metric_window import MetricWindow
from pipelines.config import Recipe
from pipelines.tracking import runs
from pipelines.train.job import TrainJob
from pipelines.train.validation import LikelihoodQuality, PictureQuality


class Watch:
    """Judges at `check_every_steps` and before every checkpoint, so that none is written of a training that is lost."""

    def __init__(self, recipe: Recipe, job: TrainJob, memory: Memory) -> None:
        self.recipe, self.run_id = recipe, job.run_id
        self.config = recipe.train.guard
        self.guard = Guard(self.config, memory)
        self.window = MetricWindow()
        paints = task_class(recipe.task.name).output_modality == "images"
        self.quality = PictureQuality(recipe, job) if paints else LikelihoodQuality(recipe, job)

    @property
    def memory(self) -> Memory:
        """What a checkpoint has to hold of it."""
        return self.guard.memory

    def before_first_step(self, task: Any) -> None:
        """See what the samples are like untrained."""
        if self.config.enabled and distributed.rank() == 0 and (found := self.quality(task)):
            self.memory.first_distance = found[0].distance

    def after_step(self, task: Any, metrics: Mapping[str, torch.Tensor], before_checkpoint: bool) -> str | None:
        """What is wrong with the training, or None; the same on all ranks, which have to call it at the same steps."""
        if not self.config.enabled:
            return None
        self.window.add(metrics)
        if not before_checkpoint and task.step_index % self.config.check_every_steps:
            return None
        return distributed.from_rank_0(self._judge(task, before_checkpoint) if distributed.rank() == 0 else None)

    def _judge(self, task: Any, with_samples: bool) -> str | None:
        means, largest = self.window.take()
        found = self.quality(task) if with_samples else None
        if found:
            runs.log_metrics(self.recipe.tracking, self.run_id, found[1], task.step_index)
        return self.guard.judge(task.step_index, means, largest, found[0] if found else None)
