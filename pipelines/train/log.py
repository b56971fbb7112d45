"""What rank 0 says while it trains: means since the last line, speed, and samples of fixed noise."""

import time
from collections.abc import Mapping
from typing import Any

import torch

from ganrnn.training.metric_window import MetricWindow
from pipelines import storage
from pipelines.cluster.messages import Progress
from pipelines.config import Recipe
from pipelines.sampling.outputs import output_of
from pipelines.tracking import runs
from pipelines.train.job import TrainJob


class TrainLog:
    """Speaks to MLflow and to the driver's progress bar."""

    def __init__(self, recipe: Recipe, job: TrainJob, task: Any) -> None:
        self.recipe, self.job, self.task = recipe, job, task
        self.prompts = _fixed_prompts(recipe, task)
        self.window = MetricWindow()
        self.since = time.monotonic()

    def after_step(self, metrics: Mapping[str, torch.Tensor]) -> None:
        """Collect a step's metrics; log every `log_every_steps` and sample every `sample_every_steps` steps."""
        self.window.add(metrics)
        step, train = self.task.step_index, self.recipe.train
        if step % train.log_every_steps == 0:
            means, _ = self.window.take()
            seconds = time.monotonic() - self.since
            speed = "images_per_second" if self.task.dataset_kind == "images" else "tokens_per_second"
            means[speed] = train.log_every_steps * means.pop("tokens", train.global_batch_size) / seconds
            runs.log_metrics(self.recipe.tracking, self.job.run_id, means, step)
            self.job.reports.put(Progress(step, {name: means[name] for name in (*self.task.headline, speed)}))
            self.since = time.monotonic()
        if step % train.sample_every_steps == 0 or step == self.recipe.task.num_steps:
            keys = [(self.recipe.seed, f"grid/{i}") for i in range(len(self.prompts["prompt_id"]))]
            suffix, content = output_of(self.task).preview(self.task.sample(self.prompts, keys), self.prompts)
            runs.log_file(self.recipe.tracking, self.job.run_id, content, f"samples/step-{step:08d}.{suffix}")


def _fixed_prompts(recipe: Recipe, task: Any) -> dict[str, list[Any]]:
    """The first 64 held-out prompts, the same at every step and in every attempt."""
    uri = storage.join(recipe.ingest.dataset_uri, "prompts.parquet")
    present = storage.open_parquet(uri).schema_arrow.names
    columns = ["prompt_id", *task.prompt_columns, *(name for name in task.optional_columns if name in present)]
    prompts: dict[str, list[Any]] = storage.read_table([uri], columns).slice(0, 64).to_pydict()
    if decoding := output_of(task).decoding(recipe.generate.sampling):
        prompts["decoding"] = [decoding] * len(prompts["prompt_id"])
    return prompts
