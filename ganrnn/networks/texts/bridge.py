"""The initial states of a decoder from a vector: with torch's kernels, and in exact sums."""

import torch
from torch import nn

from ganrnn import exact
from ganrnn.networks.texts.recurrent import Cell


class Bridge(nn.Linear):
    """Vectors [N, I] to states [L, S, N, H] of a recurrent stack; the cell state of an LSTM is zero."""

    def __init__(self, cell: Cell, input_dim: int, hidden_dim: int, num_layers: int) -> None:
        super().__init__(input_dim, num_layers * hidden_dim)
        self.hidden_dim, self.num_states = hidden_dim, 2 if cell == "lstm" else 1
        self.is_positive = cell in ("mingru", "rnn_relu")

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        projected = super().forward(vectors)
        return self.as_states(projected.sigmoid() if self.is_positive else projected.tanh())

    def as_states(self, projected: torch.Tensor) -> torch.Tensor:
        """[N, L H] to [L, S, N, H]."""
        hidden = projected.unflatten(1, (-1, self.hidden_dim)).transpose(0, 1)[:, None]
        return torch.cat([hidden, *[torch.zeros_like(hidden)] * (self.num_states - 1)], dim=1)


class ExactBridge:
    """`Bridge` from snapped [N, I] to snapped states."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge, self.linear = bridge, exact.Linear(bridge.weight, bridge.bias)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        projected = self.linear(vectors)
        return self.bridge.as_states(
            exact.snapped(exact.sigmoid(projected) if self.bridge.is_positive else exact.tanh(projected))
        )
