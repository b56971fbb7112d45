"""What every system offers to the pipelines: the task interface."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from ganrnn.text import Vocabulary

Batch = Mapping[str, torch.Tensor]
Rows = Mapping[str, Sequence[Any]]
Keys = Sequence[tuple[int, str]]


class Task(Protocol):
    """Named networks and optimisers, one step, one sampling function.

    Networks whose name ends in `_ema` are averages that sample; the others train. All state of a training lies in
    `networks`, `optimisers`, `step_index` and torch's global generators.
    """

    config: Any  # frozen dataclass with at least `name` and `num_steps`
    vocabulary: Vocabulary
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    step_index: int
    input_columns: Sequence[str]  # of the data set, for `collate`

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Columns of data set rows to one batch on the CPU."""
        ...

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update of all networks; named, detached scalars."""
        ...

    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """Prompts and their (seed, sample id) keys to outputs; row i depends on rows[i] and keys[i] alone."""
        ...
