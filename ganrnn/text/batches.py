"""Batches of texts by training step: rows of like length, or lanes of one long stream. Functions of (seed, step) alone.

A batch holds at most `num_rows * num_tokens` tokens with their padding, over all workers together; a worker has its
part. Its `tokens` are int64 [N, T + 1], PAD behind the ends: inputs are all but the last column, targets all but the
first. `num_targets` counts the targets of all workers.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import torch

from ganrnn import noise
from ganrnn.errors import BadInput
from ganrnn.text.vocabulary import BEGIN, END, PAD

_POOL_BATCHES = 64
_NO_ROW = np.array([BEGIN, PAD], np.int32)  # without targets, for workers beyond the rows of a batch


class _Buckets:
    """Every row once an epoch, beside rows of about its width, in batches that a budget of tokens holds.

    A row has one width or more, for each of the tensors that it becomes part of: int64 [rows, tensors].
    """

    def __init__(self, widths: np.ndarray, budget: int, seed: int, world_size: int) -> None:
        if len(widths) < world_size:
            raise BadInput(f"train.num_workers is {world_size}; allowed are at most as many as rows, {len(widths)}")
        self.widths, self.budget, self.seed = widths, budget, seed
        self._epoch, self._first, self._batches = 0, 0, self._plan(0)

    def at(self, step: int) -> np.ndarray:
        """The rows of a step, on all workers together."""
        if step < self._first:
            self._epoch, self._first, self._batches = 0, 0, self._plan(0)
        while step >= self._first + len(self._batches):
            self._epoch, self._first = self._epoch + 1, self._first + len(self._batches)
            self._batches = self._plan(self._epoch)
        return self._batches[step - self._first]

    def once(self) -> list[np.ndarray]:
        """All rows, those of about one width together."""
        return self._cut(np.arange(len(self.widths)))

    def _plan(self, epoch: int) -> list[np.ndarray]:
        order = noise.permutation(len(self.widths), self.seed, f"texts/{epoch}")
        pool = max(1, int(_POOL_BATCHES * self.budget / self.widths.sum(1).mean()))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            batches += self._cut(order[start : start + pool])
        return [batches[i] for i in noise.permutation(len(batches), self.seed, f"batches/{epoch}")]

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        """Rows in the order of their widths, in runs whose number times greatest widths stays in the budget."""
        rows = rows[np.argsort(self.widths[rows].sum(1), kind="stable")]
        batches, start, widest = [], 0, self.widths[rows[0]]
        for stop, row in enumerate(rows):
            wider = np.maximum(widest, self.widths[row])
            if stop > start and (stop + 1 - start) * wider.sum() > self.budget:
                batches.append(rows[start:stop])
                start, wider = stop, self.widths[row]
            widest = wider
        return [*batches, rows[start:]]


class RowBatches:
    """Rows of like length; short ones come in greater number. Where rows have labels, so have batches, int64 [N].

    From step `mixed_from` on there are `num_rows` of any length. With `num_drawn` a batch has so many more for each
    worker, drawn from all whatever their length: `drawn`, int64 [num_drawn, T] without BEGIN, and `drawn_labels`.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        *,
        num_rows: int,
        num_tokens: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        labels: Sequence[int] | None = None,
        num_drawn: int = 0,
        mixed_from: int | None = None,
    ) -> None:
        self.rows = [np.array([BEGIN, *row[: num_tokens - 1], END], np.int32) for row in rows]
        self.widths = np.array([len(row) - 1 for row in self.rows])
        self.buckets = _Buckets(self.widths[:, None], num_rows * num_tokens, seed, world_size)
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.labels = None if labels is None else np.array(labels, np.int64)
        self.num_drawn, self.mixed_from = num_drawn, mixed_from
        if mixed_from is not None:
            alike = np.full((len(rows), 1), num_tokens)
            self.mixed = _Buckets(alike, num_rows * num_tokens, seed, world_size)

    def at(self, step: int) -> dict[str, torch.Tensor]:
        """The worker's part of a step's batch."""
        is_mixed = self.mixed_from is not None and step >= self.mixed_from
        rows = self.mixed.at(step - (self.mixed_from or 0)) if is_mixed else self.buckets.at(step)
        batch = self._batch(rows[self.rank :: self.world_size])
        batch["num_targets"] = torch.tensor(int(self.widths[rows].sum()))
        if self.num_drawn:
            u = noise.uniform(self.num_drawn * self.world_size, self.seed, f"drawn/{step}")
            drawn = self._batch((u[self.rank :: self.world_size] * len(self.rows)).astype(np.int64))
            batch |= {"drawn": drawn.pop("tokens")[:, 1:]} | {f"drawn_{name}": held for name, held in drawn.items()}
        return batch

    def once(self) -> Iterator[dict[str, torch.Tensor]]:
        """All rows, those of about one length together."""
        for rows in self.buckets.once():
            yield self._batch(rows)

    def _batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Tokens, and labels where there are some; of no rows one without targets."""
        batch = {"tokens": padded([self.rows[i] for i in rows] or [_NO_ROW])}
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels[rows if len(rows) else [0]])
        return batch


class PairBatches:
    """Pairs of like lengths. `source` is int64 [N, S], its rows `source_lengths` long with their END.

    Sources and targets that are longer than so many tokens lose their end; a step reads `num_rows` times as many of
    both together at most.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        *,
        num_rows: int,
        num_source_tokens: int,
        num_target_tokens: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.sources = [np.array([*row[: num_source_tokens - 1], END], np.int32) for row in sources]
        self.targets = [np.array([BEGIN, *row[: num_target_tokens - 1], END], np.int32) for row in targets]
        self.widths = np.array([len(row) - 1 for row in self.targets])
        both = np.stack([np.array([len(row) for row in self.sources]), self.widths], axis=1)
        self.buckets = _Buckets(both, num_rows * (num_source_tokens + num_target_tokens), seed, world_size)
        self.rank, self.world_size = rank, world_size

    def at(self, step: int) -> dict[str, torch.Tensor]:
        """The worker's part of a step's batch."""
        rows = self.buckets.at(step)
        own = rows[self.rank :: self.world_size]
        return self._batch(own) | {"num_targets": torch.tensor(int(self.widths[rows].sum()))}

    def once(self) -> Iterator[dict[str, torch.Tensor]]:
        """All pairs, those of about the same lengths together."""
        for rows in self.buckets.once():
            yield self._batch(rows)

    def _batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        sources = [self.sources[i] for i in rows] or [np.array([END], np.int32)]
        return {
            "source": padded(sources),
            "source_lengths": torch.tensor([len(row) for row in sources]),
            "tokens": padded([self.targets[i] for i in rows] or [_NO_ROW]),
        }


class StreamBatches:
    """All rows as one text in `num_rows` lanes, of which each step reads the next `num_tokens` of every lane.

    `begins` is whether the states before are none. Every epoch cuts elsewhere.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        *,
        num_rows: int,
        num_tokens: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.stream = np.fromiter(chain.from_iterable(rows), np.int32)
        self.num_rows, self.num_tokens, self.seed = num_rows, num_tokens, seed
        self.rank, self.share = rank, num_rows // world_size
        # A window less than the lanes could hold, so that there is room to begin elsewhere.
        self.lane = (len(self.stream) - num_tokens - 1) // num_rows
        self.steps_per_epoch = self.lane // num_tokens
        if self.steps_per_epoch < 1:
            least = (num_rows + 1) * num_tokens + 1
            raise BadInput(
                f"the training texts have {len(self.stream)} tokens; train.global_batch_size ({num_rows}) lanes of "
                f"task.num_tokens ({num_tokens}) need {least} at least"
            )

    def at(self, step: int) -> dict[str, torch.Tensor]:
        """The worker's lanes at a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        offset = int(noise.uniform(1, self.seed, f"stream/{epoch}")[0] * self.num_tokens)
        lanes = np.arange(self.rank * self.share, (self.rank + 1) * self.share) * self.lane
        place = lanes[:, None] + offset + index * self.num_tokens + np.arange(self.num_tokens + 1)
        return {
            "tokens": torch.from_numpy(self.stream[place].astype(np.int64)),
            "num_targets": torch.tensor(self.num_rows * self.num_tokens),
            "begins": torch.tensor(index == 0),
        }


def padded(rows: Sequence[np.ndarray]) -> torch.Tensor:
    """Rows of tokens to int64 [N, T], PAD behind the ends."""
    made = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for held, row in zip(made, rows, strict=True):
        held[: len(row)] = row
    return torch.from_numpy(made)
