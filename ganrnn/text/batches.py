"""Batches of texts by training step: rows of similar length, or lanes of one long stream; functions of (seed, step).

The batches of all workers together have at most `num_rows * num_tokens` tokens, padding included. `tokens` is int64
[N, T + 1], padded at the end: inputs are all columns but the last, targets all but the first. `num_targets` counts the
targets of all workers.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import torch

from ganrnn import noise
from ganrnn.errors import BadInput
from ganrnn.text.vocabulary import BEGIN, END, PAD

_POOL_BATCHES = 64
_EMPTY_ROW = np.array([BEGIN, PAD], np.int32)  # without targets, for a worker without rows


def require_rows(num_rows: int, world_size: int) -> None:
    """Raise BadInput where some worker would have no row of its own."""
    if num_rows < world_size:
        raise BadInput(f"train.num_workers is {world_size}; allowed are at most as many as rows, {num_rows}")


class _Buckets:
    """Every row once per epoch, with rows of similar width, in batches within a budget of tokens.

    `widths` is int64 [rows, tensors]: a row's length in each tensor of the batch.
    """

    def __init__(self, widths: np.ndarray, budget: int, seed: int, world_size: int) -> None:
        require_rows(len(widths), world_size)
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
        """All rows once, in batches of similar width."""
        return self._cut(np.arange(len(self.widths)))

    def _plan(self, epoch: int) -> list[np.ndarray]:
        order = noise.permutation(len(self.widths), self.seed, f"texts/{epoch}")
        pool = max(1, int(_POOL_BATCHES * self.budget / self.widths.sum(1).mean()))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            batches += self._cut(order[start : start + pool])
        return [batches[i] for i in noise.permutation(len(batches), self.seed, f"batches/{epoch}")]

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        """Cut rows, sorted by width, into runs whose number of rows times largest widths is within the budget."""
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
    """Batches of rows of similar length; batches of short rows have more rows. `labels` is int64 [N] if rows have any.

    From step `mixed_from` on, a batch has `num_rows` rows of any length. `num_drawn` adds that many rows per worker,
    drawn from all rows: `drawn`, int64 [num_drawn, T] without BEGIN, and `drawn_labels`.
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
        self.is_cut = np.array([len(row) >= num_tokens > 1 for row in rows])
        self.widths = np.array([len(row) - 1 for row in self.rows])
        self.buckets = _Buckets(self.widths[:, None], num_rows * num_tokens, seed, world_size)
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.labels = None if labels is None else np.array(labels, np.int64)
        self.num_drawn, self.mixed_from = num_drawn, mixed_from
        if mixed_from is not None:
            equal_widths = np.full((len(rows), 1), num_tokens)
            self.mixed = _Buckets(equal_widths, num_rows * num_tokens, seed, world_size)

    def at(self, step: int) -> dict[str, torch.Tensor]:
        """The worker's part of a step's batch."""
        is_mixed = self.mixed_from is not None and step >= self.mixed_from
        rows = self.mixed.at(step - (self.mixed_from or 0)) if is_mixed else self.buckets.at(step)
        batch = self._batch(rows[self.rank :: self.world_size])
        batch["num_targets"] = torch.tensor(int(self.widths[rows].sum()))
        if self.num_drawn:
            u = noise.uniform(self.num_drawn * self.world_size, self.seed, f"drawn/{step}")
            drawn = self._batch((u[self.rank :: self.world_size] * len(self.rows)).astype(np.int64))
            batch |= {"drawn": drawn.pop("tokens")[:, 1:]} | {f"drawn_{name}": tensor for name, tensor in drawn.items()}
        return batch

    def once(self, cut_rows_end: bool = True) -> Iterator[dict[str, torch.Tensor]]:
        """All rows once, in batches of similar length; rows that were cut end where they were, or do not end."""
        for rows in self.buckets.once():
            batch = self._batch(rows)
            if not cut_rows_end:
                batch["tokens"] = _without_end(batch["tokens"], self.is_cut[rows])
            yield batch

    def _batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Tokens and, if there are any, labels; one row without targets if there are no rows."""
        batch = {"tokens": padded([self.rows[i] for i in rows] or [_EMPTY_ROW])}
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels[rows if len(rows) else [0]])
        return batch


class PairBatches:
    """Batches of pairs of similar lengths. `source` is int64 [N, S]; `source_lengths` int64 [N] include END.

    Sources and targets are cut to `num_source_tokens` and `num_target_tokens`; a step has at most `num_rows` times the
    sum of both.
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
        self.target_widths = np.array([len(row) - 1 for row in self.targets])
        self.is_cut = np.array([len(row) >= num_target_tokens > 1 for row in targets])
        widths = np.stack([np.array([len(row) for row in self.sources]), self.target_widths], axis=1)
        self.buckets = _Buckets(widths, num_rows * (num_source_tokens + num_target_tokens), seed, world_size)
        self.rank, self.world_size = rank, world_size

    def at(self, step: int) -> dict[str, torch.Tensor]:
        """The worker's part of a step's batch."""
        rows = self.buckets.at(step)
        worker_rows = rows[self.rank :: self.world_size]
        return self._batch(worker_rows) | {"num_targets": torch.tensor(int(self.target_widths[rows].sum()))}

    def once(self, cut_rows_end: bool = True) -> Iterator[dict[str, torch.Tensor]]:
        """All pairs once, in batches of similar lengths; targets that were cut end where they were, or do not end."""
        for rows in self.buckets.once():
            batch = self._batch(rows)
            if not cut_rows_end:
                batch["tokens"] = _without_end(batch["tokens"], self.is_cut[rows])
            yield batch

    def _batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        sources = [self.sources[i] for i in rows] or [np.array([END], np.int32)]
        return {
            "source": padded(sources),
            "source_lengths": torch.tensor([len(row) for row in sources]),
            "tokens": padded([self.targets[i] for i in rows] or [_EMPTY_ROW]),
        }


class StreamBatches:
    """All rows as one stream in `num_rows` lanes; each step reads the next `num_tokens` tokens of every lane.

    `begins` is true at the first step of an epoch, where states start from zero. Each epoch has another offset.
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
        # One window less than fits, so that epochs can start at different offsets.
        self.lane = (len(self.stream) - num_tokens - 1) // num_rows
        self.steps_per_epoch = self.lane // num_tokens
        if self.steps_per_epoch < 1:
            min_tokens = (num_rows + 1) * num_tokens + 1
            raise BadInput(
                f"the training texts have {len(self.stream)} tokens; train.global_batch_size ({num_rows}) lanes of "
                f"task.num_tokens ({num_tokens}) need {min_tokens} at least"
            )

    def at(self, step: int) -> dict[str, torch.Tensor]:
        """The worker's lanes at a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        offset = int(noise.uniform(1, self.seed, f"stream/{epoch}")[0] * self.num_tokens)
        lanes = np.arange(self.rank * self.share, (self.rank + 1) * self.share) * self.lane
        positions = lanes[:, None] + offset + index * self.num_tokens + np.arange(self.num_tokens + 1)
        return {
            "tokens": torch.from_numpy(self.stream[positions].astype(np.int64)),
            "num_targets": torch.tensor(self.num_rows * self.num_tokens),
            "begins": torch.tensor(index == 0),
        }


def _without_end(tokens: torch.Tensor, is_cut: np.ndarray) -> torch.Tensor:
    """Tokens int64 [N, T] with PAD in the place of END in the rows that were cut."""
    return tokens.masked_fill((tokens == END) & torch.from_numpy(is_cut)[:, None], PAD)


def padded(rows: Sequence[np.ndarray]) -> torch.Tensor:
    """Rows of tokens to int64 [N, T], padded at the end with PAD."""
    tokens = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for padded_row, row in zip(tokens, rows, strict=True):
        padded_row[: len(row)] = row
    return torch.from_numpy(tokens)
