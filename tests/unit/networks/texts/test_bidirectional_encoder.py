"""A reader's layers read rows as if each stood alone, from the left and from the right, whatever pads them."""

from typing import Any, get_args

import pytest
import torch
from torch import nn

from ganrnn import exact
from ganrnn.networks.texts.bidirectional_encoder import BidirectionalEncoder, ExactBidirectionalEncoder
from ganrnn.networks.texts.recurrent import Cell, RecurrentStack

N, S, D, H = 4, 7, 5, 6
WIDE = 32  # enough for some units of rnn_relu to be on at every place
LENGTHS = torch.tensor([7, 1, 4, 2])

cells = pytest.mark.parametrize("cell", get_args(Cell))
readers = pytest.mark.parametrize(
    ("cell", "num_layers", "num_directions", "layer_norm"),
    [(cell, *rest) for cell in get_args(Cell) for rest in ((1, 1, False), (2, 1, True), (1, 2, True), (2, 2, False))],
)


def reader_of(
    cell: Cell,
    num_layers: int,
    num_directions: int,
    layer_norm: bool = False,
    input_dim: int = D,
    hidden_dim: int = H,
    dropout: float = 0.0,
) -> BidirectionalEncoder:
    torch.manual_seed(0)
    rules: dict[str, Any] = {"dropout": dropout, "variational": False, "weight_drop": 0.0, "layer_norm": layer_norm}
    reader = BidirectionalEncoder(cell, input_dim, hidden_dim, num_layers, num_directions, **rules)
    for norm in reader.modules():
        if isinstance(norm, nn.LayerNorm):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return reader


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def there(lengths: torch.Tensor = LENGTHS, num: int = S) -> torch.Tensor:
    return torch.arange(num) < lengths[:, None]


def repadded(x: torch.Tensor, num: int, value: float) -> torch.Tensor:
    """Rows [N, S, D] with `num` places more and something else in all that are padding."""
    longer = torch.cat([x, torch.zeros_like(x[:, :1]).expand(-1, num, -1)], 1)
    return torch.where(there(num=S + num)[:, :, None], longer, value)


def by_rows(layers: list[list[RecurrentStack]], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Memory [1, S, H] and end [1, H] of a row [1, S, D] without padding, by the definition."""
    for layer in layers:
        parts = [layer[0].read(x)]
        if len(layer) == 2:
            parts.append(layer[1].read(x.flip(1)).flip(1))
        x = torch.cat(parts, 2)
    ends = [parts[0][:, -1], *(part[:, 0] for part in parts[1:])]
    return x, torch.cat(ends, 1)


@readers
def test_rows_are_read_from_the_left_and_turned_round_from_the_right(
    cell: Cell, num_layers: int, num_directions: int, layer_norm: bool
) -> None:
    reader = reader_of(cell, num_layers, num_directions, layer_norm).double()
    x = normal(N, S, D, seed=1)
    memory, end = reader(x, LENGTHS)
    assert memory.shape == (N, S, H) and end.shape == (N, H)
    for row, length in enumerate(LENGTHS.tolist()):
        own, own_end = by_rows(reader.directions(), x[row, None, :length])
        torch.testing.assert_close(memory[row, None, :length], own, rtol=0, atol=1e-12)
        torch.testing.assert_close(end[row, None], own_end, rtol=0, atol=1e-12)
    assert (end - memory[:, 0])[0].abs().max() > 1e-3  # the left-to-right part comes from the last place


@cells
def test_a_reader_of_one_direction_is_a_stack(cell: Cell) -> None:
    reader = reader_of(cell, 1, 1).double()
    stack = reader.directions()[0][0]
    x = normal(N, S, D, seed=1)
    for row, length in enumerate(LENGTHS.tolist()):
        outputs, after = stack(x[row, None, :length], stack.begin(1))
        memory, end = reader(x, LENGTHS)
        torch.testing.assert_close(memory[row, :length], outputs[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(end[row], after[0, 0, 0], rtol=0, atol=1e-12)


@cells
def test_each_direction_knows_its_own_side_alone(cell: Cell) -> None:
    reader = reader_of(cell, 1, 2, hidden_dim=WIDE).double()
    x = normal(N, S, D, seed=1)
    changed = x.clone()
    changed[0, 3] += 1.0
    moved = (reader(changed, LENGTHS)[0] - reader(x, LENGTHS)[0]).abs()
    left, right = moved[0, :, : WIDE // 2].amax(1), moved[0, :, WIDE // 2 :].amax(1)
    assert left[:3].max() < 1e-12 and left[3:].min() > 1e-9
    assert right[4:].max() < 1e-12 and right[:4].min() > 1e-9
    assert moved[1:].max() < 1e-12


@cells
def test_two_layers_see_both_sides_of_every_place(cell: Cell) -> None:
    reader = reader_of(cell, 2, 2, hidden_dim=WIDE).double()
    x = normal(1, S, D, seed=1)
    changed = x.clone()
    changed[0, 3] += 1.0
    lengths = torch.tensor([S])
    moved = (reader(changed, lengths)[0] - reader(x, lengths)[0])[0].abs()
    assert moved[:, : WIDE // 2].amax(1).min() > 1e-9 and moved[:, WIDE // 2 :].amax(1).min() > 1e-9


@readers
def test_padding_changes_neither_memory_nor_ends(
    cell: Cell, num_layers: int, num_directions: int, layer_norm: bool
) -> None:
    reader = reader_of(cell, num_layers, num_directions, layer_norm).double()
    x = normal(N, S, D, seed=1)
    memory, end = reader(x, LENGTHS)
    for num, value in ((0, 100.0), (5, -3.0)):
        other, other_end = reader(repadded(x, num, value), LENGTHS)
        torch.testing.assert_close(other[:, :S][there()], memory[there()], rtol=0, atol=1e-12)
        torch.testing.assert_close(other_end, end, rtol=0, atol=1e-12)


def loss_of(
    reader: BidirectionalEncoder, x: torch.Tensor, lengths: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Of what is there, with weights [N, S + 1, H] for the memory and the end."""
    memory, end = reader(x, lengths)
    held = torch.where(there(lengths, x.shape[1])[:, :, None], memory, 0.0)
    return (held * weights[:, : x.shape[1]]).sum() + (end * weights[:, -1]).sum()


@readers
def test_gradients_of_a_padded_batch_are_those_of_its_rows(
    cell: Cell, num_layers: int, num_directions: int, layer_norm: bool
) -> None:
    reader = reader_of(cell, num_layers, num_directions, layer_norm).double()
    x, weights = normal(N, S, D, seed=1), normal(N, S + 1, H, seed=2)
    parameters = list(reader.parameters())
    together = torch.autograd.grad(loss_of(reader, x, LENGTHS, weights), parameters)
    losses = [
        loss_of(reader, x[i, None, :length], LENGTHS[i, None], weights[i, None]) for i, length in enumerate(LENGTHS)
    ]
    alone = torch.autograd.grad(torch.stack(losses).sum(), parameters)
    for name, made, expected in zip(dict(reader.named_parameters()), together, alone, strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-11)
        assert made.abs().max() > 1e-3, name


@cells
def test_no_gradient_reaches_padding(cell: Cell) -> None:
    reader = reader_of(cell, 2, 2)
    x = normal(N, S, D, seed=1).float().requires_grad_()
    loss_of(reader, x, LENGTHS, normal(N, S + 1, H, seed=2).float()).backward()
    assert x.grad is not None and x.grad[~there()].abs().max() == 0
    assert x.grad[there()].abs().amax(1).min() > 0


def test_dropout_is_for_training_alone() -> None:
    reader, x = reader_of("gru", 2, 2, dropout=0.5), normal(N, S, D, seed=1).float()
    assert not torch.equal(reader(x, LENGTHS)[0], reader(x, LENGTHS)[0])
    assert torch.equal(reader.eval()(x, LENGTHS)[0], reader_of("gru", 2, 2)(x, LENGTHS)[0])


def exact_case(
    cell: Cell, num_layers: int, num_directions: int, layer_norm: bool
) -> tuple[BidirectionalEncoder, torch.Tensor]:
    """A reader with features enough for its sums to be rounded, and snapped inputs."""
    reader = reader_of(cell, num_layers, num_directions, layer_norm, 24, 32).requires_grad_(False)
    return reader, exact.snapped(normal(N, S, 24, seed=1))


@readers
def test_an_exact_reader_is_near_that_of_torch(
    cell: Cell, num_layers: int, num_directions: int, layer_norm: bool
) -> None:
    reader, x = exact_case(cell, num_layers, num_directions, layer_norm)
    memory, end = ExactBidirectionalEncoder(reader)(x, LENGTHS)
    assert memory.dtype == end.dtype == torch.float64
    assert torch.equal(exact.snapped(memory), memory) and torch.equal(exact.snapped(end), end)
    expected, expected_end = reader(x.float(), LENGTHS)
    # States are rounded to 2^-14 at each of seven steps, off by about 5e-5 in the end; layer normalisation multiplies
    # that by its weight over the deviation of the features, up to 1.5 / 0.1.
    factor = 15 if layer_norm else 1
    torch.testing.assert_close(memory[there()], expected.double()[there()], rtol=0, atol=1.5e-4 * factor)
    torch.testing.assert_close(end, expected_end.double(), rtol=0, atol=1.5e-4 * factor)
    assert (memory[there()] - expected[there()]).abs().mean() < 3e-5 * factor and memory[there()].std() > 0.05


@readers
def test_exact_rows_have_the_same_bits_in_any_company(
    cell: Cell, num_layers: int, num_directions: int, layer_norm: bool
) -> None:
    held, x = exact_case(cell, num_layers, num_directions, layer_norm)
    reader = ExactBidirectionalEncoder(held)
    memory, end = reader(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        own, own_end = reader(x[row, None, :length], LENGTHS[row, None])
        assert torch.equal(own[0], memory[row, :length]) and torch.equal(own_end[0], end[row])
    order = torch.tensor([2, 0, 3, 1])
    moved, moved_end = reader(x[order], LENGTHS[order])
    assert torch.equal(moved[there()[order]], memory[order][there()[order]]) and torch.equal(moved_end, end[order])
    more, more_end = reader(repadded(x, 9, 31.5), LENGTHS)
    assert torch.equal(more[:, :S][there()], memory[there()]) and torch.equal(more_end, end)
    many, many_end = reader(x.repeat(8, 1, 1), LENGTHS.repeat(8))
    assert torch.equal(many[-N:], memory) and torch.equal(many_end[-N:], end)
