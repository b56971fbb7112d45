"""What rank 0 logs while it trains: means since the last log, speed, and samples of fixed prompts and noise."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ganrnn.training.metric_window import MetricWindow
from pipelines import storage
from pipelines.cluster.messages import Progress, Reports
from pipelines.config.sampling import SamplingConfig
from pipelines.config.tracking import TrackingConfig
from pipelines.config.train import TrainConfig
from pipelines.sampling.outputs import output_of
from pipelines.tracking import runs

_NUM_PROMPTS = 64


class TrainLog:
    """Logs to MLflow and to the driver's progress bar.

    prompts:  columns of the prompts whose samples are logged
    seed:     of the samples' noise
    """

    def __init__(
        self,
        task: Any,
        train: TrainConfig,
        prompts: Mapping[str, Sequence[Any]],
        seed: int,
        tracking: TrackingConfig,
        run_id: str,
        reports: Reports,
    ) -> None:
        self.task, self.train, self.prompts, self.seed = task, train, prompts, seed
        self.tracking, self.run_id, self.reports = tracking, run_id, reports
        self.window = MetricWindow()
        self.since = time.monotonic()

    def after_step(self, metrics: Mapping[str, torch.Tensor]) -> None:
        """Collect a step's metrics; log every `log_every_steps` and sample every `sample_every_steps` steps."""
        self.window.add(metrics)
        step, train = self.task.step_index, self.train
        if step % train.log_every_steps == 0:
            means, _ = self.window.take()
            seconds = time.monotonic() - self.since
            speed = "images_per_second" if self.task.dataset_kind == "images" else "tokens_per_second"
            means[speed] = train.log_every_steps * means.pop("tokens", train.global_batch_size) / seconds
            runs.log_metrics(self.tracking, self.run_id, means, step)
            headline = {name: means[name] for name in (*self.task.headline, speed) if name in means}
            self.reports.put(Progress(step, headline))
            self.since = time.monotonic()
        if step % train.sample_every_steps == 0 or step == self.task.config.num_steps:
            keys = [(self.seed, f"grid/{i}") for i in range(len(self.prompts["prompt_id"]))]
            suffix, content = output_of(self.task).preview(self.task.sample(self.prompts, keys), self.prompts)
            runs.log_file(self.tracking, self.run_id, content, f"samples/step-{step:08d}.{suffix}")


def fixed_prompts(dataset_uri: str, task: Any, sampling: SamplingConfig) -> dict[str, list[Any]]:
    """The first prompts of the data set, which no step reads: the same at every step and in every attempt."""
    uri = storage.join(dataset_uri, "prompts.parquet")
    present = storage.open_parquet(uri).schema_arrow.names
    columns = ["prompt_id", *task.prompt_columns, *(name for name in task.optional_columns if name in present)]
    prompts: dict[str, list[Any]] = storage.read_table([uri], columns).slice(0, _NUM_PROMPTS).to_pydict()
    if decoding := output_of(task).decoding(sampling):
        prompts["decoding"] = [decoding] * len(prompts["prompt_id"])
    return prompts
