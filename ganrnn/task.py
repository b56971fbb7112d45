"""What every system offers to the pipelines: the task interface."""

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
    """How a training goes on that was set back so many `times`.

    Learning rates are quartered and penalties doubled `for_good` times, and once more until a step.
    """

    times: int = 0
    for_good: int = 0
    until_step: int = 0

    def at(self, step: int) -> int:
        """How often they are at a step."""
        return self.for_good + (step < self.until_step)

    def after(self, is_accident: bool, until_step: int) -> "BackoffState":
        """Set back once more: the first accident passes at a step, all else shows what the training is like."""
        if is_accident and not self.times:
            return BackoffState(1, self.for_good, until_step)
        return BackoffState(self.times + 1, self.for_good + 1)


class Batches(Protocol):
    """What the steps of a training read."""

    def at(self, step: int) -> Batch:
        """The worker's part of a step, on the CPU."""
        ...


class Task(Protocol):
    """Named networks and optimizers, one step, one sampling function.

    Networks whose name ends in `_ema` are averages that sample; the others train. All state of a training lies in
    `networks`, `optimizers`, `step_index`, `backoff`, `carried` and torch's global generators. A class is made from its
    config, a vocabulary and a seed.
    """

    dataset_kind: Literal["images", "texts", "pairs"]  # that it learns from
    output_modality: Literal["images", "texts", "scores"]  # what `sample` makes of prompts
    headline: Sequence[str]  # the metrics of a step that a progress bar shows

    config_type: Any  # of `config`
    vocabulary_type: Any  # of `vocabulary`
    config: Any  # frozen dataclass with at least `name` and `num_steps`
    vocabulary: Any  # dataclass of plain values: what inputs are encoded by
    networks: dict[str, nn.Module]
    step_index: int
    backoff: BackoffState
    carried: dict[str, torch.Tensor]  # from one step to the next, on each worker its own
    input_columns: Sequence[str]  # of the data set, for `collate`
    prompt_columns: Sequence[str]  # of prompts, which `sample` cannot do without, beside prompt_id
    optional_columns: Sequence[str]  # of prompts, which it reads where they are there

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """By name."""
        ...

    @staticmethod
    def vocabulary_columns(config: Any) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        ...

    @staticmethod
    def build_vocabulary(config: Any, rows: Iterable[tuple[Any, ...]]) -> Any:
        """The vocabulary of the training rows, each a tuple of `vocabulary_columns`."""
        ...

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update of all networks; named, detached scalars."""
        ...

    def sample(self, rows: Rows, keys: Keys) -> Any:
        """Prompts and their (seed, sample id) keys to outputs; row i depends on rows[i] and keys[i] alone.

        Outputs are pictures uint8 [N, 3, H, W], scores float32 [N], or N `GeneratedText`; of these, `rows` may hold
        the `decoding` of each.
        """
        ...

    def count_unknown(self, rows: Rows) -> list[int]:
        """Of each prompt, how many words, labels or attributes the model was never taught."""
        ...


def task_class(name: Any, key: str = "task.name") -> Any:
    """The class of a task by name: each module of ganrnn/tasks defines one under TASK.

    Raises BadInput, naming the key, for any other name.
    """
    # Tasks import this module, so it can look them up only when it is asked.
    modules = pkgutil.iter_modules(importlib.import_module("ganrnn.tasks").__path__)
    names = sorted(module.name for module in modules)
    if name not in names:
        raise BadInput(f"{key} is {name!r}; allowed are {', '.join(names)}")
    return importlib.import_module(f"ganrnn.tasks.{name}").TASK
