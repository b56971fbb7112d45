"""A player's learning rate by step, its clipped gradients, its first Adam step by hand."""

import math

import pytest
import torch
from torch import nn

from ganrnn.errors import BadInput
from ganrnn.task import BackoffState
from ganrnn.training.optimizer import Player, PlayerConfig


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PlayerConfig(learning_rate=0.4), [0.4, 0.3, 0.2, 0.1]),
        (PlayerConfig(learning_rate=0.4, schedule="constant"), [0.4] * 4),
        (PlayerConfig(learning_rate=0.4, schedule="constant", warmup_steps=4), [0.1, 0.2, 0.3, 0.4]),
        (
            PlayerConfig(learning_rate=0.4, schedule="cosine"),
            [0.2 * (1 + math.cos(math.pi * step / 4)) for step in range(4)],
        ),
    ],
)
def test_learning_rates_by_hand(config: PlayerConfig, expected: list[float]) -> None:
    assert [config.learning_rate * config.decay_at(step, 4) for step in range(4)] == pytest.approx(expected)


def updated(**changes: float) -> tuple[float, float, float]:
    """The gradient norm that an update returns, and the two weights after it."""
    weights = nn.Parameter(torch.tensor([1.0, 1.0]))
    player = Player(PlayerConfig(learning_rate=0.1, schedule="constant", beta1=0.5, beta2=0.5, **changes), [weights])  # type: ignore[arg-type]
    player.begin(0, 10, factor=0.5)
    (weights * torch.tensor([3.0, -4.0])).sum().backward()
    norm = player.update()
    return norm.item(), *weights.tolist()


def test_the_first_adam_step_is_the_learning_rate_in_the_direction_of_the_sign() -> None:
    assert updated() == pytest.approx((5.0, 0.95, 1.05), rel=1e-5)


def test_the_norm_that_is_returned_is_that_before_clipping() -> None:
    assert updated(max_gradient_norm=1e-9)[0] == pytest.approx(5.0)
    # Clipped to 1e-9, gradients are far below Adam's epsilon of 1e-8 and move almost nothing.
    assert updated(max_gradient_norm=1e-9)[1:] == pytest.approx((1 - 0.05 * 6e-10 / 1e-8, 1.0), abs=5e-3)


def test_begin_forgets_gradients() -> None:
    weight = nn.Parameter(torch.ones(1))
    player = Player(PlayerConfig(), [weight])
    weight.sum().backward()
    player.begin(0, 1, 1.0)
    assert weight.grad is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PlayerConfig(learning_rate=0.0), "x.learning_rate is 0.0; allowed are values above 0"),
        (PlayerConfig(beta2=1.0), "x.beta2 is 1.0; allowed are values from 0 to below 1"),
        (PlayerConfig(warmup_steps=-1), "x.warmup_steps is -1"),
        (PlayerConfig(max_gradient_norm=-0.5), "x.max_gradient_norm is -0.5"),
    ],
)
def test_impossible_settings_are_refused(config: PlayerConfig, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        config.check("x")


def test_the_first_accident_passes_and_all_else_stays() -> None:
    transient = BackoffState().after(is_transient=True, until_step=100)
    assert [transient.at(step) for step in (50, 99, 100, 500)] == [1, 1, 0, 0]
    again = transient.after(is_transient=True, until_step=300)
    assert (again, again.at(200)) == (BackoffState(2, 1), 1)
    own_doing = BackoffState().after(is_transient=False, until_step=100)
    assert (own_doing.times, own_doing.at(50), own_doing.at(500)) == (1, 1, 1)
    assert own_doing.after(is_transient=True, until_step=300).at(500) == 2


def test_weights_are_updated_alike_however_they_lie_in_memory() -> None:
    # A fused kernel that goes through memory side by side would mix up weights and gradients that lie differently.
    start, gradient = torch.randn(2, 8, 4, 3, 3, generator=torch.Generator().manual_seed(0)).unbind()
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(start.clone().to(memory_format=layout))
        player = Player(PlayerConfig(learning_rate=0.1), [weight])
        for step in range(2):
            player.begin(step, 10, 1.0)
            weight.grad = gradient * (step + 1)
            player.update()
        moved.append(weight.detach().contiguous())
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=1e-6)
