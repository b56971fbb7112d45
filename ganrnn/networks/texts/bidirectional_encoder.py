"""A recurrent encoder: reads a source one way or both ways, layer on layer. In one go, and in exact sums."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ganrnn.networks.texts.exact_rnn import ExactStack
from ganrnn.networks.texts.recurrent import Cell, RecurrentStack


class BidirectionalEncoder(nn.Module):
    """Layers of which each has a part of the features from the left and, with two directions, one from the right.

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
        own_dim = hidden_dim // num_directions
        self.layers = nn.ModuleList(
            nn.ModuleList(RecurrentStack(cell, dim, own_dim, 1, **rules) for _ in range(num_directions))
            for dim in (input_dim, *[hidden_dim] * (num_layers - 1))
        )

    def forward(
        self,
        x: torch.Tensor,  # [N, S, I]
        lengths: torch.Tensor,  # int64 [N], from 1 up
    ) -> tuple[torch.Tensor, torch.Tensor]:  # memory [N, S, H], and what each direction knows at its end, [N, H]
        for layer in self.directions():
            x = _both_ways([stack.read for stack in layer], x, lengths)
        return x, _ends(x, lengths, len(layer))

    def directions(self) -> list[list[RecurrentStack]]:
        """Of each layer, what reads from the left and, where there is one, what reads from the right."""
        return [list(layer) for layer in self.layers]  # type: ignore[call-overload]


class ExactBidirectionalEncoder:
    """The same in sums that neither neighbours nor padding change."""

    def __init__(self, reader: BidirectionalEncoder) -> None:
        self.layers = [[ExactStack(stack) for stack in layer] for layer in reader.directions()]

    def __call__(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Snapped [N, S, I] to snapped memory [N, S, H] and [N, H]."""
        for layer in self.layers:
            x = _both_ways([stack.read for stack in layer], x, lengths)
        return x, _ends(x, lengths, len(layer))


def _both_ways(
    reads: Sequence[Callable[[torch.Tensor], torch.Tensor]], x: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """What the first makes of rows from left to right and the second, if there is one, from right to left."""
    if len(reads) == 1:
        return reads[0](x)
    forward, backward = reads
    return torch.cat([forward(x), _turned(backward(_turned(x, lengths)), lengths)], dim=2)


def _turned(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Rows [N, S, D] with the last of their `lengths` places first; padding stays where it is."""
    places = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    places = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return x.gather(1, places[:, :, None].expand_as(x))


def _ends(memory: torch.Tensor, lengths: torch.Tensor, num_directions: int) -> torch.Tensor:
    """[N, H]: of the left-to-right part the last place, of the other the first."""
    last = memory[torch.arange(len(memory), device=memory.device), lengths - 1]
    if num_directions == 1:
        return last
    half = memory.shape[2] // 2
    return torch.cat([last[:, :half], memory[:, 0, half:]], dim=1)
