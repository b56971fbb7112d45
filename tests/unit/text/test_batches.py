"""Batches of texts and of pairs: every row once an epoch, within the budget, whatever the workers."""

import numpy as np
import pytest
import torch

from ganrnn.errors import BadInput
from ganrnn.text.batches import PairBatches, RowBatches, padded
from ganrnn.text.vocabulary import BEGIN, END, PAD

NUM_ROWS, NUM_TOKENS = 4, 12
# Each row is told from others by its first token; most are short, some longer than may be.
LENGTHS = np.random.default_rng(0).integers(1, 16, 101) ** 2 // 14
ROWS = [[100 + i, *range(4, 4 + n)][: n + 1] for i, n in enumerate(LENGTHS)]
WHOLE = [tuple(row[: NUM_TOKENS - 1]) for row in ROWS]

worlds = pytest.mark.parametrize("world_size", [1, 2, 3])


def rows_of(rows: list[list[int]] = ROWS, seed: int = 0, rank: int = 0, world_size: int = 1) -> RowBatches:
    return RowBatches(rows, num_rows=NUM_ROWS, num_tokens=NUM_TOKENS, seed=seed, rank=rank, world_size=world_size)


def texts(tokens: torch.Tensor) -> list[tuple[int, ...]]:
    """The rows of a batch without BEGIN, END and padding; rows without targets are none."""
    collected = []
    for row in tokens.tolist():
        assert row[0] == BEGIN
        if row[1] == PAD:
            assert set(row[1:]) == {PAD}
            continue
        end = row.index(END) if END in row else len(row) - row.count(PAD)  # a text that was cut may have no END
        assert set(row[end + 1 :]) <= {PAD} and PAD not in row[:end]
        collected.append(tuple(row[1:end]))
    return collected


def steps_per_epoch(batches: RowBatches) -> list[int]:
    """Of the first five epochs, told by when all rows were seen."""
    collected, step = [], 0
    for _ in range(5):
        seen, first = 0, step
        while seen < len(WHOLE):
            seen += len(texts(batches.at(step)["tokens"]))
            step += 1
        collected.append(step - first)
    return collected


@worlds
def test_from_a_step_on_rows_of_any_length_come_together(world_size: int) -> None:
    def workers(mixed_from: int | None) -> list[RowBatches]:
        sizes = {"num_rows": NUM_ROWS, "num_tokens": NUM_TOKENS, "seed": 0, "world_size": world_size}
        return [RowBatches(ROWS, **sizes, rank=rank, mixed_from=mixed_from) for rank in range(world_size)]

    plain, mixed = workers(None), workers(3)
    for own, same in zip(plain, mixed, strict=True):
        assert all(torch.equal(own.at(step)["tokens"], same.at(step)["tokens"]) for step in range(3))
    epoch = -(-len(WHOLE) // NUM_ROWS)
    for first in (3, 3 + epoch):
        seen, spreads = [], []
        for step in range(first, first + epoch):
            parts = [worker.at(step) for worker in mixed]
            rows = [text for part in parts for text in texts(part["tokens"])]
            assert len(rows) == NUM_ROWS or len(rows) == len(WHOLE) % NUM_ROWS
            assert {int(part["num_targets"]) for part in parts} == {sum(len(row) + 1 for row in rows)}
            lengths = [len(row) for row in rows]
            seen, spreads = seen + rows, [*spreads, max(lengths) - min(lengths)]
        assert sorted(seen) == sorted(WHOLE) and sum(spreads) / epoch > 3
    assert torch.equal(mixed[0].at(1)["tokens"], plain[0].at(1)["tokens"]), "back to an earlier step"


@worlds
def test_every_row_comes_once_an_epoch(world_size: int) -> None:
    workers = [rows_of(rank=rank, world_size=world_size) for rank in range(world_size)]
    step, orders = 0, []
    for length in steps_per_epoch(rows_of()):
        epoch = [texts(worker.at(s)["tokens"]) for s in range(step, step + length) for worker in workers]
        orders.append([text for part in epoch for text in part])
        assert sorted(orders[-1]) == sorted(WHOLE)
        step += length
    assert len({tuple(order) for order in orders}) == 5  # another order each time


@worlds
def test_the_parts_of_the_workers_are_the_batch_of_one(world_size: int) -> None:
    workers = [rows_of(rank=rank, world_size=world_size) for rank in range(world_size)]
    alone = rows_of()
    for step in range(200):
        batch = alone.at(step)
        parts = [worker.at(step) for worker in workers]
        assert sorted(text for part in parts for text in texts(part["tokens"])) == sorted(texts(batch["tokens"]))
        assert {part["num_targets"].item() for part in parts} == {batch["num_targets"].item()}
        assert batch["num_targets"].item() == (batch["tokens"][:, 1:] != PAD).sum().item()
        assert sum((part["tokens"][:, 1:] != PAD).sum().item() for part in parts) == batch["num_targets"].item()
        counts = [len(texts(part["tokens"])) for part in parts]
        assert max(counts) - min(counts) <= 1
        assert all(len(part["tokens"]) and part["tokens"].shape[1] >= 2 for part in parts)


def test_batches_keep_the_budget_and_fill_it() -> None:
    sizes = []
    batches = rows_of()
    for step in range(sum(steps_per_epoch(rows_of()))):
        num_rows, width = batches.at(step)["tokens"].shape
        assert num_rows * (width - 1) <= NUM_ROWS * NUM_TOKENS and width - 1 <= NUM_TOKENS
        sizes.append((num_rows, width))
    assert max(num for num, _ in sizes) > 2 * NUM_ROWS  # short rows come in greater number
    padding = [1 - (batches.at(step)["tokens"] != PAD).double().mean().item() for step in range(len(sizes))]
    assert np.mean(padding) < 0.1
    assert np.mean([num * (width - 1) for num, width in sizes]) > 0.75 * NUM_ROWS * NUM_TOKENS


def test_rows_of_the_greatest_length_come_as_many_as_asked_for() -> None:
    batches = rows_of([[4] * 40] * 20)
    for step in range(10):
        assert batches.at(step)["tokens"].tolist() == [[BEGIN, *[4] * (NUM_TOKENS - 1), END]] * NUM_ROWS
        assert batches.at(step)["num_targets"].item() == NUM_ROWS * NUM_TOKENS


@worlds
def test_any_step_is_reached_from_anywhere(world_size: int) -> None:
    sequential = [rows_of(rank=world_size - 1, world_size=world_size).at(step) for step in range(130)]
    asked = rows_of(rank=world_size - 1, world_size=world_size)
    assert sum(steps_per_epoch(rows_of())[:3]) < 120
    for step in (0, 119, 3, 60, 59, 61, 0, 1, 129, 128, 40):
        for batches in (asked, rows_of(rank=world_size - 1, world_size=world_size)):
            batch = batches.at(step)
            assert torch.equal(batch["tokens"], sequential[step]["tokens"])
            assert torch.equal(batch["num_targets"], sequential[step]["num_targets"])


def test_seeds_differ() -> None:
    first, other = rows_of(), rows_of(seed=1)
    assert any(texts(first.at(step)["tokens"]) != texts(other.at(step)["tokens"]) for step in range(3))


def test_neighbours_are_of_like_length_yet_others_each_epoch() -> None:
    # More rows than a pool, so that not even the order by length is the same in each epoch.
    rows = [[100 + i] * (1 + i % 9) for i in range(3_000)]
    batches = rows_of(rows)
    epochs: list[set[tuple[int, ...]]] = [set(), set()]
    step = 0
    for groups in epochs:
        while sum(map(len, groups)) < len(rows):
            collected = texts(batches.at(step)["tokens"])
            lengths = [len(text) for text in collected]
            assert max(lengths) - min(lengths) <= 2
            groups.add(tuple(sorted(text[0] for text in collected)))
            step += 1
    assert not epochs[0] & epochs[1]


@worlds
def test_a_batch_of_fewer_rows_than_workers_is_not_lost(world_size: int) -> None:
    # Five rows of full length in batches of 4: the last batch has one row.
    rows = [[100 + i] * 40 for i in range(5)]
    workers = [rows_of(rows, rank=rank, world_size=world_size) for rank in range(world_size)]
    for epoch in range(3):
        seen = [text[0] for step in (2 * epoch, 2 * epoch + 1) for w in workers for text in texts(w.at(step)["tokens"])]
        assert sorted(seen) == [100, 101, 102, 103, 104]
        assert sorted(workers[0].at(step)["num_targets"].item() for step in (2 * epoch, 2 * epoch + 1)) == [12, 48]


@worlds
def test_empty_texts_are_rows_too(world_size: int) -> None:
    workers = [rows_of([[], [], [7]], rank=rank, world_size=world_size) for rank in range(world_size)]
    parts = [worker.at(0) for worker in workers]
    assert sorted(text for part in parts for text in texts(part["tokens"])) == [(), (), (7,)]
    assert {part["num_targets"].item() for part in parts} == {4}


def test_rows_are_read_once_in_order_of_length() -> None:
    read = [batch["tokens"] for batch in rows_of().once(cut_rows_end=False)]
    collected = [text for tokens in read for text in texts(tokens)]
    assert sorted(collected) == sorted(WHOLE)
    assert [len(text) for text in collected] == sorted(len(text) for text in WHOLE)
    assert all(len(tokens) * (tokens.shape[1] - 1) <= NUM_ROWS * NUM_TOKENS for tokens in read)
    ends = {row[1]: END in row for tokens in read for row in tokens.tolist()}
    assert ends == {row[0]: len(row) < NUM_TOKENS for row in ROWS} and set(ends.values()) == {True, False}


@pytest.mark.parametrize(("num", "world_size"), [(0, 1), (1, 2), (2, 3)])
def test_fewer_rows_than_workers_are_refused(num: int, world_size: int) -> None:
    message = f"train.num_workers is {world_size}; allowed are at most as many as rows, {num}"
    with pytest.raises(BadInput, match=message):
        rows_of(ROWS[:num], world_size=world_size)


NUM_SOURCE = 9
# Long sources with short targets and the other way round, some longer than may be; each side tells which pair it is.
SOURCES = [[100 + i, *range(4, 4 + n)] for i, n in enumerate(np.random.default_rng(1).integers(0, 14, 101))]
BOTH = list(zip([tuple(row[: NUM_SOURCE - 1]) for row in SOURCES], WHOLE, strict=True))
Batch = dict[str, torch.Tensor]


def pairs_of(
    sources: list[list[int]] = SOURCES,
    targets: list[list[int]] = ROWS,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> PairBatches:
    return PairBatches(
        sources,
        targets,
        num_rows=NUM_ROWS,
        num_source_tokens=NUM_SOURCE,
        num_target_tokens=NUM_TOKENS,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )


def pairs(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The pairs of a batch without BEGIN, END and padding; rows without targets are none."""
    sources = []
    for row, length in zip(batch["source"].tolist(), batch["source_lengths"].tolist(), strict=True):
        assert row[length - 1] == END and set(row[length:]) <= {PAD} and not {PAD, END, BEGIN} & set(row[: length - 1])
        sources.append(tuple(row[: length - 1]))
    assert batch["source"].shape[1] == batch["source_lengths"].max() and batch["source"].dtype == torch.int64
    if batch["tokens"][:, 1].tolist() == [PAD]:
        assert sources == [()] and batch["tokens"].tolist() == [[BEGIN, PAD]]
        return []
    return list(zip(sources, texts(batch["tokens"]), strict=True))


def epochs_of(batches: PairBatches, num_pairs: int, num: int) -> list[list[Batch]]:
    """The batches of the first epochs, told by when all pairs were seen."""
    collected: list[list[Batch]] = []
    step = 0
    for _ in range(num):
        collected.append([])
        while sum(len(batch["tokens"]) for batch in collected[-1]) < num_pairs:
            collected[-1].append(batches.at(step))
            step += 1
    return collected


@worlds
def test_every_pair_comes_once_an_epoch(world_size: int) -> None:
    workers = [pairs_of(rank=rank, world_size=world_size) for rank in range(world_size)]
    step, orders = 0, []
    for epoch in epochs_of(pairs_of(), len(BOTH), 4):
        steps = range(step, step + len(epoch))
        orders.append([pair for s in steps for worker in workers for pair in pairs(worker.at(s))])
        assert sorted(orders[-1]) == sorted(BOTH)  # a source beside its own target
        step += len(epoch)
    assert len({tuple(order) for order in orders}) == 4
    assert [pairs(pairs_of(seed=1).at(step)) for step in range(3)] != [pairs(pairs_of().at(step)) for step in range(3)]


@worlds
def test_the_pairs_of_the_workers_are_those_of_one(world_size: int) -> None:
    workers = [pairs_of(rank=rank, world_size=world_size) for rank in range(world_size)]
    alone = pairs_of()
    for step in (*range(60), 200, 3, 59):
        batch, parts = alone.at(step), [worker.at(step) for worker in workers]
        assert sorted(pair for part in parts for pair in pairs(part)) == sorted(pairs(batch))
        assert {part["num_targets"].item() for part in parts} == {batch["num_targets"].item()}
        assert batch["num_targets"].item() == (batch["tokens"][:, 1:] != PAD).sum().item()
        assert max(len(pairs(part)) for part in parts) - min(len(pairs(part)) for part in parts) <= 1
        for name, tensor in pairs_of(rank=world_size - 1, world_size=world_size).at(step).items():
            assert torch.equal(tensor, parts[-1][name])  # from anywhere, or step by step


def test_both_sides_with_their_padding_keep_the_budget_and_fill_it() -> None:
    (epoch,) = epochs_of(pairs_of(), len(BOTH), 1)
    budget, sizes, filled = NUM_ROWS * (NUM_SOURCE + NUM_TOKENS), [], []
    for batch in epoch:
        sizes.append(batch["source"].numel() + batch["tokens"][:, 1:].numel())
        filled.append((batch["source_lengths"].sum() + batch["num_targets"]).item())
        assert batch["source"].shape[1] <= NUM_SOURCE and batch["tokens"].shape[1] <= NUM_TOKENS + 1
    assert max(sizes) <= budget and np.mean(sizes) > 0.75 * budget
    assert sum(filled) > 0.7 * sum(sizes)
    assert max(len(batch["tokens"]) for batch in epoch) > 1.5 * NUM_ROWS  # short pairs come in greater number


def test_the_widest_source_and_the_widest_target_count_even_in_different_pairs() -> None:
    # Each pair has 13 tokens, 9 + 4 or 1 + 12: six of one kind fit in 84, where both stand together only four.
    sides: list[tuple[list[int], list[int]]] = [([50] * 40, [60] * 3), ([], [61] * 40)]
    batches = pairs_of([sides[i % 2][0] for i in range(48)], [sides[i % 2][1] for i in range(48)])
    (epoch,) = epochs_of(batches, 48, 1)
    collected = [pairs(batch) for batch in epoch]
    assert max(len(batch) for batch in collected if len(set(batch)) == 2) == NUM_ROWS
    assert max(len(batch) for batch in collected) <= 6


def test_what_is_too_long_loses_its_end_and_comes_as_often_as_asked_for() -> None:
    batches = pairs_of([[4] * 40] * 20, [[5] * 40] * 20)
    for step in range(10):
        batch = batches.at(step)
        assert batch["source"].tolist() == [[*[4] * (NUM_SOURCE - 1), END]] * NUM_ROWS
        assert batch["source_lengths"].tolist() == [NUM_SOURCE] * NUM_ROWS
        assert batch["tokens"].tolist() == [[BEGIN, *[5] * (NUM_TOKENS - 1), END]] * NUM_ROWS
        assert batch["num_targets"].item() == NUM_ROWS * NUM_TOKENS


@worlds
def test_a_batch_of_fewer_pairs_than_workers_is_not_lost(world_size: int) -> None:
    # Five pairs of full length in batches of 4: the last batch has one.
    rows = [[100 + i] * 40 for i in range(5)]
    workers = [pairs_of(rows, rows, rank=rank, world_size=world_size) for rank in range(world_size)]
    for first in (0, 2, 4):
        parts = [worker.at(step) for step in (first, first + 1) for worker in workers]
        assert sorted(source[0] for part in parts for source, _ in pairs(part)) == [100, 101, 102, 103, 104]
        assert sorted({part["num_targets"].item() for part in parts}) == [NUM_TOKENS, NUM_ROWS * NUM_TOKENS]
        assert sum(not pairs(part) for part in parts) == world_size - 1


@worlds
def test_empty_sides_are_read_too(world_size: int) -> None:
    workers = [pairs_of([[], [7], []], [[8], [], []], rank=rank, world_size=world_size) for rank in range(world_size)]
    parts = [worker.at(0) for worker in workers]
    assert sorted(pair for part in parts for pair in pairs(part)) == [((), ()), ((), (8,)), ((7,), ())]
    assert {part["num_targets"].item() for part in parts} == {4}


def test_pairs_are_read_once_in_order_of_length() -> None:
    read = list(pairs_of().once(cut_rows_end=False))
    collected = [pair for batch in read for pair in pairs(batch)]
    assert sorted(collected) == sorted(BOTH)
    assert {tuple(batch) for batch in read} == {("source", "source_lengths", "tokens")}
    lengths = [len(source) + len(target) for source, target in collected]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize(("num", "world_size"), [(0, 1), (1, 2), (2, 3)])
def test_fewer_pairs_than_workers_are_refused(num: int, world_size: int) -> None:
    message = f"train.num_workers is {world_size}; allowed are at most as many as rows, {num}"
    with pytest.raises(BadInput, match=message):
        pairs_of(SOURCES[:num], ROWS[:num], world_size=world_size)


def test_padding_stands_behind() -> None:
    padded_rows = padded([np.array([5], np.int32), np.array([6, 7, 8], np.int32)])
    assert padded_rows.tolist() == [[5, PAD, PAD], [6, 7, 8]] and padded_rows.dtype == torch.int64
