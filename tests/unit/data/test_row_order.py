"""The order of training rows: every row once an epoch, the same for any number of workers, from any step."""

import numpy as np
import pytest

from ganrnn.data.row_order import RowOrder
from ganrnn.errors import BadInput

GROUPS = (7, 5, 9, 4, 8, 3)  # rows of each row group
FIRST = np.cumsum((0, *GROUPS))
BATCH = 4
EPOCH = sum(GROUPS) // BATCH

orders = pytest.mark.parametrize("window_rows", [1_000, 36, 14, 9, 1], ids=lambda rows: f"window{rows}")


def order_of(window_rows: int, seed: int = 0, batch_size: int = BATCH) -> RowOrder:
    return RowOrder(GROUPS, batch_size, window_rows, seed)


def rows_at(order: RowOrder, step: int, rank: int = 0, world_size: int = 1) -> list[int]:
    """Rows as numbers counted through all row groups."""
    row_list: list[int] = []
    for piece in order.slices(step, rank, world_size):
        held = np.concatenate([np.arange(FIRST[g], FIRST[g + 1]) for g in piece.row_groups])
        assert list(piece.row_groups) == sorted(piece.row_groups)
        row_list += held[piece.rows].tolist()
    return row_list


def epoch_of(order: RowOrder, epoch: int) -> list[int]:
    steps = range(epoch * order.batches_per_epoch, (epoch + 1) * order.batches_per_epoch)
    return [row for step in steps for row in rows_at(order, step)]


@orders
def test_an_epoch_is_a_permutation(window_rows: int) -> None:
    order = order_of(window_rows)
    for epoch in range(4):
        assert sorted(epoch_of(order, epoch)) == list(range(36))


@orders
def test_less_than_a_batch_is_dropped_and_other_rows_each_epoch(window_rows: int) -> None:
    order = order_of(window_rows, batch_size=5)
    assert order.batches_per_epoch == 7
    dropped = [set(range(36)) - set(epoch_of(order, epoch)) for epoch in range(8)]
    assert [len(rows) for rows in dropped] == [1] * 8
    assert len(set.union(*dropped)) > 2


@orders
def test_any_number_of_workers_reads_the_same_global_batch(window_rows: int) -> None:
    order = order_of(window_rows)
    for step in range(3 * EPOCH):
        whole = rows_at(order, step)
        for world_size in (2, 4):
            parts = [rows_at(order, step, rank, world_size) for rank in range(world_size)]
            assert {len(part) for part in parts} == {BATCH // world_size}
            assert [row for part in parts for row in part] == whole


@orders
def test_any_step_is_reached_directly(window_rows: int) -> None:
    order = order_of(window_rows)
    sequential = [rows_at(order, step) for step in range(3 * EPOCH)]
    for step in (20, 0, 26, 9, 8, 17):
        assert rows_at(order_of(window_rows), step) == sequential[step]


@orders
def test_epochs_and_seeds_differ(window_rows: int) -> None:
    first = epoch_of(order_of(window_rows), 0)
    assert first == epoch_of(order_of(window_rows), 0)
    assert first != epoch_of(order_of(window_rows), 1)
    assert first != epoch_of(order_of(window_rows, seed=1), 0)
    assert first != sorted(first)


def test_windows_hold_no_more_rows_than_allowed() -> None:
    order = order_of(14)
    for step in range(2 * EPOCH):
        for piece in order.slices(step, 0, 1):
            assert sum(GROUPS[group] for group in piece.row_groups) <= 14
    # A row group larger than the window stands alone.
    assert all(len(piece.row_groups) == 1 for step in range(EPOCH) for piece in order_of(1).slices(step, 0, 1))
    whole = order_of(1_000)
    assert all(len(list(whole.slices(step, 0, 1))) == 1 for step in range(2 * EPOCH))


def test_pinned_rows() -> None:
    assert [rows_at(order_of(1_000), step) for step in (0, 8, 9)] == [[31, 26, 22, 9], [24, 6, 8, 3], [13, 17, 18, 2]]
    assert [rows_at(order_of(14), step) for step in (0, 8, 9)] == [[35, 2, 4, 33], [9, 7, 10, 8], [9, 23, 35, 7]]


def test_a_batch_larger_than_the_data_is_refused() -> None:
    message = "train.global_batch_size is 37; allowed is at most the number of training rows, 36"
    with pytest.raises(BadInput, match=message):
        RowOrder(GROUPS, 37, 1_000, 0)
    assert RowOrder(GROUPS, 36, 1_000, 0).batches_per_epoch == 1
