"""Exact recurrent stacks are near those of torch, and a row's states are its own to the last bit."""

from collections.abc import Callable
from typing import cast, get_args

import pytest
import torch
from torch import nn

from ganrnn import exact
from ganrnn.networks.texts.exact_rnn import ExactNorm, ExactStack
from ganrnn.networks.texts.recurrent import Cell, RecurrentLayer, RecurrentStack

N, T, D, H, L = 64, 20, 24, 32, 2

stacks = pytest.mark.parametrize(
    ("cell", "layer_norm"), [(cell, norm) for cell in get_args(Cell) for norm in (False, True)]
)


def stack_of(cell: Cell, layer_norm: bool) -> RecurrentStack:
    torch.manual_seed(0)
    stack = RecurrentStack(cell, D, H, L, dropout=0.3, layer_norm=layer_norm).eval()
    for norm in stack.norms:
        if isinstance(norm, nn.LayerNorm):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return stack.requires_grad_(False)


def inputs(num_rows: int = N) -> torch.Tensor:
    return exact.snapped(torch.randn(num_rows, T, D, generator=torch.Generator().manual_seed(1)))


def run(stack: ExactStack, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs [N, T, H] and the states after [L, S, N, H]."""
    outputs = []
    for x_t in x.unbind(1):
        outputs_in_order, state = stack.step(x_t, state)
        outputs.append(outputs_in_order)
    return torch.stack(outputs, 1), state


@stacks
def test_twenty_steps_are_near_those_of_the_stack(cell: Cell, layer_norm: bool) -> None:
    stack, x = stack_of(cell, layer_norm), inputs()
    expected, expected_after = stack(x.float(), stack.begin(N))
    outputs_in_order, after = run(ExactStack(stack), x, stack.begin(N).double())
    assert outputs_in_order.dtype == after.dtype == torch.float64 and after.shape == (
        L,
        2 if cell == "lstm" else 1,
        N,
        H,
    )
    assert (outputs_in_order - expected).abs().max() < 2e-3
    assert (after - expected_after).abs().max() < 2e-3
    assert expected[:, -1].std() > 0.05 and (outputs_in_order[:, -1] - outputs_in_order[:, 0]).abs().max() > 0.05


@stacks
def test_a_row_has_the_same_bits_in_any_company(cell: Cell, layer_norm: bool) -> None:
    stack, x = stack_of(cell, layer_norm), inputs()[:, :8]
    network, state = ExactStack(stack), stack.begin(N).double()
    outputs, after = run(network, x, state)
    assert torch.equal(exact.snapped(outputs), outputs) and torch.equal(exact.snapped(after), after)
    for size in (1, 7):
        for rows in torch.arange(4 * size).split(size):
            outputs_in_order, final_state = run(network, x[rows], state[:, :, rows])
            assert torch.equal(outputs_in_order, outputs[rows]) and torch.equal(final_state, after[:, :, rows])
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    outputs_in_order, final_state = run(network, x[order], state[:, :, order])
    assert torch.equal(outputs_in_order, outputs[order]) and torch.equal(final_state, after[:, :, order])


@stacks
def test_the_order_of_features_changes_no_bit(cell: Cell, layer_norm: bool) -> None:
    stack, x = stack_of(cell, layer_norm), inputs(5)
    state = stack.begin(5).double()
    outputs, after = run(ExactStack(stack), x, state)
    order = torch.randperm(D, generator=torch.Generator().manual_seed(3))
    first = cast(RecurrentLayer, stack.layers[0])
    first.weight_x.data = first.weight_x.data[:, order]
    outputs_in_order, final_state = run(ExactStack(stack), x[:, :, order], state)
    assert torch.equal(outputs_in_order, outputs) and torch.equal(final_state, after)


@stacks
def test_a_sequence_goes_on_from_its_state(cell: Cell, layer_norm: bool) -> None:
    stack, x = stack_of(cell, layer_norm), inputs(5)
    network, state = ExactStack(stack), stack.begin(5).double()
    whole, after = run(network, x, state)
    first, final_state = run(network, x[:, :8], state)
    second, last = run(network, x[:, 8:], final_state)
    assert torch.equal(torch.cat([first, second], 1), whole) and torch.equal(last, after)
    assert not torch.equal(run(network, x[:, 8:], state)[0], second)
    assert torch.equal(state, torch.zeros_like(state))


@pytest.mark.parametrize(
    ("spread", "atol"), [(lambda x: 5.0 * x, 5e-4), (lambda x: x + 20.0, 5e-4), (lambda x: 0.05 * x, 4e-3)]
)
def test_layer_normalisation_is_near_that_of_torch(spread: Callable[[torch.Tensor], torch.Tensor], atol: float) -> None:
    norm = nn.LayerNorm(200).requires_grad_(False)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = exact.snapped(spread(torch.randn(30, 200, generator=torch.Generator().manual_seed(0))))
    outputs_in_order = ExactNorm(norm)(x)
    torch.testing.assert_close(outputs_in_order, norm.double()(x), rtol=0, atol=atol)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    norm.weight.data, norm.bias.data = norm.weight.data[order], norm.bias.data[order]
    assert torch.equal(ExactNorm(norm)(x[:, order]), outputs_in_order[:, order])
    assert torch.equal(torch.cat([ExactNorm(norm)(row[None, order]) for row in x]), outputs_in_order[:, order])


def test_a_constant_row_is_normalised_to_the_bias() -> None:
    norm = nn.LayerNorm(7).requires_grad_(False)
    norm.bias.data[:] = torch.arange(7) / 4
    assert ExactNorm(norm)(exact.snapped(torch.full((2, 7), 0.3))).tolist() == [(torch.arange(7) / 4).tolist()] * 2


def test_values_beyond_the_range_are_clipped() -> None:
    stack = stack_of("rnn_relu", False)
    for layer in cast(list[RecurrentLayer], stack.layers):
        layer.bias_x.data[:] = 100.0
    state = stack.begin(3).double()
    outputs, after = run(ExactStack(stack), inputs(3), state)
    assert outputs.max() == exact.LARGEST_VALUE and after.max() == exact.LARGEST_VALUE
