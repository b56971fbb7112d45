"""What every system offers to the pipelines: the task interface."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from ganrnn.optimisation import Caution

Batch = Mapping[str, torch.Tensor]
Rows = Mapping[str, Sequence[Any]]
Keys = Sequence[tuple[int, str]]


class Task(Protocol):
    """Named networks and optimisers, one step, one sampling function.

    Networks whose name ends in `_ema` are averages that sample; the others train. All state of a training lies in
    `networks`, `optimisers`, `step_index`, `caution` and torch's global generators. A class is made from its config, a
    vocabulary and a seed.
    """

    config_type: Any  # of `config`
    vocabulary_type: Any  # of `vocabulary`
    config: Any  # frozen dataclass with at least `name` and `num_steps`
    vocabulary: Any  # dataclass of plain values: what inputs are encoded by
    networks: dict[str, nn.Module]
    step_index: int
    caution: Caution
    input_columns: Sequence[str]  # of the data set, for `collate`
    prompt_columns: Sequence[str]  # of prompts, for `sample`, beside prompt_id

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
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

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Columns of data set rows to one batch on the CPU."""
        ...

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update of all networks; named, detached scalars."""
        ...

    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """Prompts and their (seed, sample id) keys to outputs; row i depends on rows[i] and keys[i] alone."""
        ...

    def count_unknown(self, rows: Rows) -> list[int]:
        """Of each prompt, how many words, labels or attributes the model was never taught."""
        ...
