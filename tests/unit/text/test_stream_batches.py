"""Batches of a stream of tokens: lanes that go on and on, apart from each other, the same for any number of workers."""

import numpy as np
import pytest
import torch

from ganrnn.errors import BadInput
from ganrnn.text.batches import StreamBatches

worlds = pytest.mark.parametrize("world_size", [1, 2, 3])


def stream_of(
    num: int = 1_000, num_rows: int = 4, num_tokens: int = 7, seed: int = 0, rank: int = 0, world_size: int = 1
) -> StreamBatches:
    """Of `num` tokens, each its own place, in rows of several lengths, one of them empty."""
    places = list(range(num))
    rows = [places[:5], [], places[5:6], places[6:]]
    return StreamBatches(rows, num_rows=num_rows, num_tokens=num_tokens, seed=seed, rank=rank, world_size=world_size)


def test_lanes_go_on_where_they_ended() -> None:
    stream = stream_of()
    num = stream.steps_per_epoch
    assert num == (1_000 - 8) // 4 // 7
    for step in range(5 * num):
        batch = stream.at(step)
        tokens = batch["tokens"]
        assert tokens.shape == (4, 8) and tokens.dtype == torch.int64
        assert (tokens.diff(dim=1) == 1).all()  # the stream as it is
        assert batch["num_targets"].item() == 28
        assert bool(batch["begins"]) == (step % num == 0)
        if step % num:
            assert torch.equal(tokens[:, 0], stream.at(step - 1)["tokens"][:, -1])
    starts = [stream.at(epoch * num)["tokens"][:, 0].tolist() for epoch in range(8)]
    assert all(np.diff(start).tolist() == [248] * 3 for start in starts)
    assert {start[0] for start in starts} <= set(range(7)) and len({start[0] for start in starts}) > 2


@pytest.mark.parametrize("num", [36, 37, 38, 41, 64, 200])
def test_lanes_stay_within_the_stream_and_apart(num: int) -> None:
    for seed in range(20):
        stream = stream_of(num, seed=seed)
        for epoch in range(3):
            steps = range(epoch * stream.steps_per_epoch, (epoch + 1) * stream.steps_per_epoch)
            targets = [token for s in steps for token in stream.at(s)["tokens"][:, 1:].flatten().tolist()]
            assert len(set(targets)) == len(targets) == 28 * stream.steps_per_epoch
            assert min(targets) >= 1 and max(targets) < num


def test_nearly_all_of_a_stream_is_read() -> None:
    stream = stream_of(10_000)
    targets = {
        token for step in range(stream.steps_per_epoch) for token in stream.at(step)["tokens"].flatten().tolist()
    }
    assert len(targets) > 9_950


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_lanes_of_the_workers_are_those_of_one(world_size: int) -> None:
    workers = [stream_of(rank=rank, world_size=world_size) for rank in range(world_size)]
    alone = stream_of()
    for step in (*range(40), 300, 7, 71, 35):
        parts = [worker.at(step) for worker in workers]
        assert torch.equal(torch.cat([part["tokens"] for part in parts]), alone.at(step)["tokens"])
        for name in ("num_targets", "begins"):
            assert all(torch.equal(part[name], alone.at(step)[name]) for part in parts)


def test_any_step_of_a_stream_is_reached_directly_and_seeds_differ() -> None:
    sequential = [stream_of().at(step)["tokens"] for step in range(150)]
    stream = stream_of()
    for step in (149, 0, 36, 35, 70, 1):
        assert torch.equal(stream.at(step)["tokens"], sequential[step])
    assert len({stream_of(seed=seed).at(0)["tokens"][0, 0].item() for seed in range(20)}) > 3


def test_too_short_a_text_is_refused() -> None:
    assert stream_of(36).steps_per_epoch == 1
    with pytest.raises(BadInput) as refused:
        stream_of(35)
    assert str(refused.value) == (
        "the training texts have 35 tokens; train.global_batch_size (4) lanes of task.num_tokens (7) need 36 at least"
    )
    nothing: list[list[list[int]]] = [[], [[]], [[], []]]
    for rows in nothing:
        with pytest.raises(BadInput, match="the training texts have 0 tokens"):
            StreamBatches(rows, num_rows=2, num_tokens=3, seed=0)
