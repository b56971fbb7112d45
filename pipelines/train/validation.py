"""How good a training is before each checkpoint, measured on validation rows, which no step reads."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from ganrnn.data import images
from ganrnn.errors import BadInput
from ganrnn.metrics.images.quick_score import QuickScore, QuickSpread
from ganrnn.training.guard import Quality
from pipelines import storage

# From a task to its quality and the metrics to log, or to None where there are too few validation rows.
Validation = Callable[[Any], tuple[Quality, dict[str, float]] | None]

_MICRO_BATCH = 64
_FEWEST_ROWS = 16
_MOST_CONDITIONS, _NUM_OF_EACH = 16, 6  # of which pictures of one condition are compared
# Prompt columns and the columns of a data set with the same content.
_SOURCES = {"prompt": "text"}


class ImageQuality:
    """A `Validation` of images: distance from real ones, and diversity, of samples for the captions of real ones.

    Samples of one condition, with different noise, are compared with real images of that condition as well.
    """

    def __init__(self, val_uris: Sequence[str], num_samples: int, seed: int) -> None:
        self.uris, self.num_samples, self.seed = val_uris, num_samples, seed
        self.score: QuickScore | None = None

    def __call__(self, task: Any) -> tuple[Quality, dict[str, float]] | None:
        if self.score is None:
            prompts, real, meanings = self._read(task)
            if len(real) < _FEWEST_ROWS:
                return None
            self.score = QuickScore(real)
            # One source picture has one right answer, however different the pictures of its label are.
            groups = [] if "source_image" in task.prompt_columns else _groups(meanings)
            of_conditions = [real[rows[:_NUM_OF_EACH]] for rows in groups]
            self.diversity_given = QuickSpread(of_conditions)
            self.spread_given = QuickSpread(of_conditions, self.score.scaled_features)
            # A prompt of each condition, several times: other wordings would give other samples of themselves.
            rows = [*range(len(real)), *(row for row, *_ in groups for _ in range(_NUM_OF_EACH))]
            self.prompts = {name: [column[row] for row in rows] for name, column in prompts.items()}
            self.count = len(real)
        samples = self._samples(task)
        quality = self.score(samples[: self.count])
        of_conditions = samples[self.count :].split(_NUM_OF_EACH)
        quality = replace(
            quality,
            diversity_given_condition=self.diversity_given(of_conditions),
            spread_given_condition=self.spread_given(of_conditions),
        )
        return quality, {f"quick_{name}": value for name, value in asdict(quality).items() if value is not None}

    def _samples(self, task: Any) -> torch.Tensor:
        count = len(self.prompts["prompt_id"])
        keys = [(self.seed, f"guard/{i}") for i in range(count)]
        samples = []
        for start in range(0, count, _MICRO_BATCH):
            part = slice(start, start + _MICRO_BATCH)
            rows = {name: column[part] for name, column in self.prompts.items()}
            samples.append(task.sample(rows, keys[part]).cpu())
        return torch.cat(samples)

    def _read(self, task: Any) -> tuple[dict[str, list[Any]], torch.Tensor, list[int]]:
        """Prompt columns, the real images uint8 [N, 3, H, W] of the same rows, and the keys of what they mean [N]."""
        columns = {"prompt_id": "id"} | {name: _SOURCES.get(name, name) for name in task.prompt_columns}
        names = sorted({"image", *columns.values(), *task.input_columns})
        batches = (batch for uri in self.uris for batch in storage.read_batches(uri, names))
        rows: list[dict[str, Any]] = []
        while len(rows) < self.num_samples and (batch := next(batches, None)) is not None:
            candidates = batch.slice(0, self.num_samples - len(rows)).to_pylist()
            rows += [row for row in candidates if row.get("source_image", row["image"])]  # unpaired data may have none
        prompts = {name: [row[source] for row in rows] for name, source in columns.items()}
        size = (task.config.height, task.config.width)
        real = torch.cat([_image(row, size) for row in rows]) if rows else torch.empty(0)
        read = {name: [row[name] for row in rows] for name in task.input_columns}
        return prompts, real, task.collate(read)["keys"].tolist() if rows else []


def _groups(meanings: Sequence[int]) -> list[list[int]]:
    """The rows of each of the first conditions that several rows have."""
    rows: dict[int, list[int]] = {}
    for row, meaning in enumerate(meanings):
        rows.setdefault(meaning, []).append(row)
    return [group for group in rows.values() if len(group) > 1][:_MOST_CONDITIONS]


def _image(row: Mapping[str, Any], size: tuple[int, int]) -> torch.Tensor:
    """The image of a row, uint8 [1, 3, *size]; BadInput names the row where it is none or of another size."""
    try:
        return images.to_tensor([row["image"]["bytes"]], size)
    except BadInput as error:
        raise BadInput(f"validation row {row['id']!r}: {error}; ingest the data set again") from error


class LikelihoodQuality:
    """A `Validation` of texts and scores: perplexity of the EMA weights in place of a distance.

    Diversity is the task's own, since no samples are drawn.
    """

    def __init__(self, val_uris: Sequence[str], num_samples: int) -> None:
        self.uris, self.num_samples = val_uris, num_samples
        self.rows: dict[str, list[Any]] = {}

    def __call__(self, task: Any) -> tuple[Quality, dict[str, float]]:
        if not self.rows:
            table = storage.read_table(self.uris, list(task.input_columns))
            self.rows = table.slice(0, self.num_samples).to_pydict()
        total, count = task.negative_log_likelihood(self.rows)
        loss = total / count
        perplexity = math.exp(min(loss, 700.0))
        return Quality(perplexity, task.diversity(self.rows)), {"val_loss": loss, "val_perplexity": perplexity}
