"""A recurrent encoder in one or two directions: with torch's kernels, and in exact sums."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ganrnn.networks.texts.exact_rnn import ExactStack
from ganrnn.networks.texts.recurrent import Cell, RecurrentStack


class BidirectionalEncoder(nn.Module):
    """Recurrent layers; with two directions, each direction computes half of a layer's features.

    `rules` are those of `RecurrentStack`: dropout, variational, weight_drop, layer_norm.
    """

    def __init__(
        self,
        cell: Cell,
        input_dim: int,
        hidden_dim: int,
        num_layers: int,
        num_directions: int,
        **rules: Any,
    ) -> None:
        super().__init__()
        direction_dim = hidden_dim // num_directions
        self.layers = nn.ModuleList(
            nn.ModuleList(RecurrentStack(cell, dim, direction_dim, 1, **rules) for _ in range(num_directions))
            for dim in (input_dim, *[hidden_dim] * (num_layers - 1))
        )

    def forward(
        self,
        x: torch.Tensor,  # [N, S, I]
        lengths: torch.Tensor,  # int64 [N], from 1 up
    ) -> tuple[torch.Tensor, torch.Tensor]:  # memory [N, S, H], and the last output of each direction, [N, H]
        for layer in self.directions():
            x = _in_directions([stack.read for stack in layer], x, lengths)
        return x, _ends(x, lengths, len(layer))

    def directions(self) -> list[list[RecurrentStack]]:
        """The stacks of each layer: left to right and, with two directions, right to left."""
        return [list(layer) for layer in self.layers]  # type: ignore[call-overload]


class ExactBidirectionalEncoder:
    """`BidirectionalEncoder` in sums that neither other rows nor padding change."""

    def __init__(self, reader: BidirectionalEncoder) -> None:
        self.layers = [[ExactStack(stack) for stack in layer] for layer in reader.directions()]

    def __call__(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Snapped [N, S, I] to snapped memory [N, S, H] and [N, H]."""
        for layer in self.layers:
            x = _in_directions([stack.read for stack in layer], x, lengths)
        return x, _ends(x, lengths, len(layer))


def _in_directions(
    reads: Sequence[Callable[[torch.Tensor], torch.Tensor]], x: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Outputs of the first function on the rows, and of the second, if there is one, on the reversed rows."""
    if len(reads) == 1:
        return reads[0](x)
    forward, backward = reads
    return torch.cat([forward(x), _reversed(backward(_reversed(x, lengths)), lengths)], dim=2)


def _reversed(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Rows [N, S, D] with their first `lengths` positions reversed; padding stays at the end."""
    positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    positions = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)
    return x.gather(1, positions[:, :, None].expand_as(x))


def _ends(memory: torch.Tensor, lengths: torch.Tensor, num_directions: int) -> torch.Tensor:
    """The last output of each direction, [N, H]: at the last position left to right, at the first right to left."""
    last = memory[torch.arange(len(memory), device=memory.device), lengths - 1]
    if num_directions == 1:
        return last
    half = memory.shape[2] // 2
    return torch.cat([last[:, :half], memory[:, 0, half:]], dim=1)
