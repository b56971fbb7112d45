"""Checks a training on all ranks at the same steps: metrics of every step, samples before a checkpoint, one verdict."""

from collections.abc import Mapping
from typing import Any

import torch

from ganrnn import distributed
from ganrnn.training.guard import Guard, GuardConfig, GuardState, Verdict
from ganrnn.training.metric_window import MetricWindow
from pipelines.config.tracking import TrackingConfig
from pipelines.tracking import runs
from pipelines.train.validation import Validation


class Monitor:
    """Checks at `check_every_steps` and before every checkpoint, so that none is written of a training gone wrong."""

    def __init__(
        self, config: GuardConfig, state: GuardState, validation: Validation, tracking: TrackingConfig, run_id: str
    ) -> None:
        self.config, self.validation = config, validation
        self.tracking, self.run_id = tracking, run_id
        self.guard = Guard(config, state)
        self.window = MetricWindow()

    @property
    def state(self) -> GuardState:
        """What a checkpoint has to store of it."""
        return self.guard.state

    def before_first_step(self, task: Any) -> None:
        """Measure the samples of the untrained networks."""
        if self.config.enabled and distributed.rank() == 0 and (measured := self.validation(task)):
            quality, _ = measured
            self.state.first_distance = quality.distance

    def after_step(self, task: Any, metrics: Mapping[str, torch.Tensor], before_checkpoint: bool) -> Verdict | None:
        """What is wrong with the training, or None; the same on all ranks, which have to call it at the same steps."""
        if not self.config.enabled:
            return None
        self.window.add(metrics)
        if not before_checkpoint and task.step_index % self.config.check_every_steps:
            return None
        return distributed.from_rank_0(self._judge(task, before_checkpoint) if distributed.rank() == 0 else None)

    def _judge(self, task: Any, with_samples: bool) -> Verdict | None:
        means, largest = self.window.take()
        quality = None
        if with_samples and (measured := self.validation(task)):
            quality, metrics = measured
            runs.log_metrics(self.tracking, self.run_id, metrics, task.step_index)
        return self.guard.judge(task.step_index, means, largest, quality)
