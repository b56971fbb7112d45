"""Watches a training from inside, on all ranks alike: metrics of every step, samples now and then, one verdict."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from ganrnn import distributed, images
from ganrnn.guard import Guard, Memory
from ganrnn.metric_window import MetricWindow
from ganrnn.metrics.quick_score import Quality, QuickScore
from pipelines import storage, tracking
from pipelines.config import Recipe

_MICRO_BATCH = 64
_FEWEST_ROWS = 16
# Prompt columns and the columns of a data set that hold the same.
_SOURCES = {"prompt": "text"}


class Watch:
    """Judges at `check_every_steps` and before every checkpoint, so that none is written of a training that is lost."""

    def __init__(self, recipe: Recipe, job: Mapping[str, Any], memory: Memory) -> None:
        self.recipe, self.run_id = recipe, job["run_id"]
        self.config = recipe.train.guard
        self.guard = Guard(self.config, memory)
        self.window = MetricWindow()
        self.examples = job["val_uris"]
        self.score: QuickScore | None = None

    @property
    def memory(self) -> Memory:
        """What a checkpoint has to hold of it."""
        return self.guard.memory

    def before_first_step(self, task: Any) -> None:
        """See what the samples are like untrained."""
        if self.config.enabled and distributed.rank() == 0 and (quality := self._quality(task)):
            self.memory.first_distance = quality.distance

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
        quality = self._quality(task) if with_samples else None
        if quality:
            held = {f"quick_{name}": value for name, value in asdict(quality).items()}
            tracking.log_metrics(self.recipe.tracking, self.run_id, held, task.step_index)
        return self.guard.judge(task.step_index, means, largest, quality)

    def _quality(self, task: Any) -> Quality | None:
        """Distance and diversity of samples for the captions of validation rows, which no training step sees."""
        if self.score is None:
            self.prompts, pictures = self._read_examples(task)
            if len(pictures) < _FEWEST_ROWS:
                return None
            self.score = QuickScore(pictures)
        count = len(self.prompts["prompt_id"])
        keys = [(self.recipe.seed, f"guard/{i}") for i in range(count)]
        painted = []
        for start in range(0, count, _MICRO_BATCH):
            part = slice(start, start + _MICRO_BATCH)
            rows = {name: column[part] for name, column in self.prompts.items()}
            painted.append(task.sample(rows, keys[part]).cpu())
        return self.score(torch.cat(painted))

    def _read_examples(self, task: Any) -> tuple[dict[str, list[Any]], torch.Tensor]:
        columns = {"prompt_id": "id"} | {name: _SOURCES.get(name, name) for name in task.prompt_columns}
        wanted = ["image", *columns.values()]
        batches = (batch for uri in self.examples for batch in storage.read_batches(uri, wanted))
        rows: list[dict[str, Any]] = []
        while len(rows) < self.config.num_samples and (batch := next(batches, None)) is not None:
            found = batch.slice(0, self.config.num_samples - len(rows)).to_pylist()
            rows += [row for row in found if row.get("source_image", row["image"])]  # unpaired data may have none
        prompts = {name: [row[source] for row in rows] for name, source in columns.items()}
        pictures = [row["image"]["bytes"] for row in rows]
        return prompts, images.to_tensor(pictures) if rows else torch.empty(0)
