"""The interface between tasks and pipelines."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import nn

from ganrnn.errors import BadInput

Batch = Mapping[str, torch.Tensor]
Rows = Mapping[str, Sequence[Any]]
Keys = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class BackoffState:
    """The backoff of a training that was rolled back `times` times.

    Each backoff quarters the learning rates and doubles the penalties: `for_good` of them permanently, and one more
    until step `until_step`.
    """

    times: int = 0
    for_good: int = 0
    until_step: int = 0

    def at(self, step: int) -> int:
        """The number of backoffs at a step."""
        return self.for_good + (step < self.until_step)

    def after(self, is_transient: bool, until_step: int) -> "BackoffState":
        """The state after one more rollback; the first one for a transient cause backs off only until a step."""
        if is_transient and not self.times:
            return BackoffState(1, self.for_good, until_step)
        return BackoffState(self.times + 1, self.for_good + 1)


class Batches(Protocol):
    """The batches of a training by step."""

    def at(self, step: int) -> Batch:
        """The worker's part of the batch of a step, on the CPU."""
        ...


class Task(Protocol):
    """Named networks and optimizers, one training step, one sampling function.

    Networks whose names end in `_ema` are averages that sample; the others train. All state of a training is in
    `networks`, `optimizers`, `step_index`, `backoff`, `carried` and torch's global generators. The constructor takes a
    config, a vocabulary and a seed.
    """

    dataset_kind: Literal["images", "texts", "pairs"]  # that it learns from
    output_modality: Literal["images", "texts", "scores"]  # of the results of `sample`
    headline: Sequence[str]  # metrics of a step for the progress bar

    config_type: Any  # class of `config`
    vocabulary_type: Any  # class of `vocabulary`
    config: Any  # frozen dataclass with at least `name` and `num_steps`
    vocabulary: Any  # dataclass of plain values that encodes inputs
    networks: dict[str, nn.Module]
    step_index: int
    backoff: BackoffState
    carried: dict[str, torch.Tensor]  # from one step to the next, different on each worker
    input_columns: Sequence[str]  # columns of the data set for `collate`
    prompt_columns: Sequence[str]  # required columns of prompts besides prompt_id
    optional_columns: Sequence[str]  # optional columns of prompts

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The optimizers by name."""
        ...

    @staticmethod
    def vocabulary_columns(config: Any) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        ...

    @staticmethod
    def build_vocabulary(config: Any, rows: Iterable[tuple[Any, ...]]) -> Any:
        """The vocabulary of the training rows, tuples of `vocabulary_columns`."""
        ...

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update of all networks; returns named, detached scalars."""
        ...

    def sample(self, rows: Rows, keys: Keys) -> Any:
        """Prompts and their (seed, sample id) keys to outputs; row i depends on rows[i] and keys[i] alone.

        Outputs are pictures uint8 [N, 3, H, W], scores float32 [N], or N `GeneratedText`. Besides prompt columns,
        `rows` may hold the `truncation` of each picture, or the `decoding` of each text.
        """
        ...

    def count_unknown(self, rows: Rows) -> list[int]:
        """For each prompt, how many words, labels or attributes the model does not know."""
        ...


class JudgedTask(Task, Protocol):
    """A task whose generator can also learn from a judge; its config has `judge_weight`."""

    def attach_judge(self, judge: Any) -> None:
        """Use a trained match_judge in all steps; its weights stay fixed."""
        ...


def task_class(name: Any, key: str = "task.name") -> Any:
    """The class of a task by name: each module of ganrnn/tasks defines one under TASK.

    Raises BadInput, naming the key, for any other name.
    """
    # Tasks import this module, so they can only be imported here.
    modules = pkgutil.iter_modules(importlib.import_module("ganrnn.tasks").__path__)
    names = sorted(module.name for module in modules)
    if name not in names:
        raise BadInput(f"{key} is {'missing' if name is None else repr(name)}; allowed are {', '.join(names)}")
    return importlib.import_module(f"ganrnn.tasks.{name}").TASK
