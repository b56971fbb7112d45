"""Two gloo workers against one process: the mean of gradients, and a step on halves that equals one on the whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

from ganrnn import distributed
from ganrnn.tasks.text_to_image import TextToImage
from tests.forks import on_two_ranks
from tests.unit import tiny

WORLD_SIZE, BATCH = 2, 16


@contextmanager
def noise_of(rank: int, world_size: int) -> Iterator[None]:
    """torch.randn gives each worker its rows of a noise that all share, another one at each call."""
    generator = torch.Generator().manual_seed(11)

    def share(num_rows: int, dim: int, **_: Any) -> torch.Tensor:
        return torch.empty(num_rows * world_size, dim).normal_(generator=generator).chunk(world_size)[rank]

    with mock.patch("torch.randn", share):
        yield


def three_steps(rank: int, world_size: int) -> tuple[TextToImage, list[dict[str, torch.Tensor]]]:
    """A task after three steps without matching loss, whose pairs cross the workers; penalty at the first and third."""
    task = tiny.task(matching_weight=0.0, penalty_every_steps=2)
    for optimizer in task.optimizers.values():
        # With Adam's usual epsilon the rounding of a gradient that is almost zero decides the sign of a whole step.
        optimizer.param_groups[0]["eps"] = 1e-2
    metrics = []
    with noise_of(rank, world_size):
        for step in range(3):
            batch = {name: rows.chunk(world_size)[rank] for name, rows in tiny.batch(BATCH, step).items()}
            metrics.append(task.step(batch))
    return task, metrics


def layer_of(rank: int) -> nn.Linear:
    """Two parameters with gradients that name their rank, one without."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.arange(6.0).view(3, 2) * (1 + rank)
    return layer


def work(rank: int) -> dict[str, Any]:
    layer = layer_of(rank)
    distributed.average_gradients(layer.parameters())
    task, metrics = three_steps(rank, WORLD_SIZE)
    mine = (distributed.rank(), distributed.world_size())
    assert layer.bias.grad is None
    return {"place": mine, "gradient": layer.weight.grad, "weights": tiny.weights(task), "metrics": metrics}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_two_ranks(work, tmp_path_factory.mktemp("workers"))


def test_each_worker_knows_its_place(workers: list[dict[str, Any]]) -> None:
    assert [held["place"] for held in workers] == [(0, 2), (1, 2)]


def test_gradients_become_their_mean(workers: list[dict[str, Any]]) -> None:
    for held in workers:
        assert torch.equal(held["gradient"], torch.arange(6.0).view(3, 2) * 1.5)


def test_workers_hold_equal_weights(workers: list[dict[str, Any]]) -> None:
    tiny.assert_equal(workers[0]["weights"], workers[1]["weights"])


def test_two_workers_equal_one_with_the_whole_batch(workers: list[dict[str, Any]]) -> None:
    task, metrics = three_steps(0, 1)
    for step in range(3):
        for name, whole in metrics[step].items():
            if not name.startswith("matching"):
                halves = torch.stack([held["metrics"][step][name] for held in workers])
                torch.testing.assert_close(halves.mean(), whole, rtol=1e-4, atol=1e-5, msg=f"{name} at step {step}")
    for name, whole in tiny.weights(task).items():
        torch.testing.assert_close(workers[0]["weights"][name], whole, rtol=0, atol=1e-6, msg=name)
    start = tiny.weights(tiny.task())
    assert (tiny.weights(task)["generator/to_mixture.weight"] - start["generator/to_mixture.weight"]).abs().max() > 1e-4


def test_without_workers_everything_is_the_identity() -> None:
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    layer = layer_of(1)
    distributed.average_gradients(layer.parameters())
    assert layer.weight.grad is not None and torch.equal(layer.weight.grad, 2 * torch.arange(6.0).view(3, 2))
