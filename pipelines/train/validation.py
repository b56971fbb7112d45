"""How good is what a training makes just now? Looked at before every checkpoint, on rows of val that no step reads."""

import math
from dataclasses import asdict
from typing import Any

import torch

from ganrnn.data import images
from ganrnn.metrics.images.quick_score import QuickScore
from ganrnn.training.guard import Quality
from pipelines import storage
from pipelines.config import Recipe
from pipelines.train.job import TrainJob

_MICRO_BATCH = 64
_FEWEST_ROWS = 16
# Prompt columns and the columns of a data set that hold the same.
_SOURCES = {"prompt": "text"}


class PictureQuality:
    """Distance from real pictures, and diversity, of samples for the captions of real ones."""

    def __init__(self, recipe: Recipe, job: TrainJob) -> None:
        self.recipe, self.uris = recipe, job.val_uris
        self.score: QuickScore | None = None

    def __call__(self, task: Any) -> tuple[Quality, dict[str, float]] | None:
        """And the same as metrics; None where there are too few pictures to tell."""
        if self.score is None:
            self.prompts, pictures = self._read(task)
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
        quality = self.score(torch.cat(painted))
        return quality, {f"quick_{name}": value for name, value in asdict(quality).items()}

    def _read(self, task: Any) -> tuple[dict[str, list[Any]], torch.Tensor]:
        columns = {"prompt_id": "id"} | {name: _SOURCES.get(name, name) for name in task.prompt_columns}
        wanted = ["image", *columns.values()]
        batches = (batch for uri in self.uris for batch in storage.read_batches(uri, wanted))
        most = self.recipe.train.guard.num_samples
        rows: list[dict[str, Any]] = []
        while len(rows) < most and (batch := next(batches, None)) is not None:
            found = batch.slice(0, most - len(rows)).to_pylist()
            rows += [row for row in found if row.get("source_image", row["image"])]  # unpaired data may have none
        prompts = {name: [row[source] for row in rows] for name, source in columns.items()}
        pictures = [row["image"]["bytes"] for row in rows]
        return prompts, images.to_tensor(pictures) if rows else torch.empty(0)


class LikelihoodQuality:
    """Perplexity, how many tokens or answers the averaged network as it were hesitates between, as the distance.

    Diversity is the task's own, since nothing is made.
    """

    def __init__(self, recipe: Recipe, job: TrainJob) -> None:
        self.recipe, self.uris = recipe, job.val_uris
        self.rows: dict[str, list[Any]] = {}

    def __call__(self, task: Any) -> tuple[Quality, dict[str, float]]:
        if not self.rows:
            table = storage.read_table(self.uris, list(task.input_columns))
            self.rows = table.slice(0, self.recipe.train.guard.num_samples).to_pydict()
        total, count = task.negative_log_likelihood(self.rows)
        loss = total / count
        perplexity = math.exp(min(loss, 700.0))
        return Quality(perplexity, task.diversity(self.rows)), {"val_loss": loss, "val_perplexity": perplexity}
