"""What is known before the first token, as the states that a decoder begins with. In one go, and in exact sums."""

import torch
from torch import nn

from ganrnn import exact
from ganrnn.networks.texts.recurrent import Cell


class Bridge(nn.Linear):
    """[N, I] to states [L, S, N, H] of a stack; the memory of an LSTM is empty."""

    def __init__(self, cell: Cell, input_dim: int, hidden_dim: int, num_layers: int) -> None:
        super().__init__(input_dim, num_layers * hidden_dim)
        self.hidden_dim, self.num_states = hidden_dim, 2 if cell == "lstm" else 1
        self.is_positive = cell in ("mingru", "rnn_relu")

    def forward(self, known: torch.Tensor) -> torch.Tensor:
        made = super().forward(known)
        return self.as_states(made.sigmoid() if self.is_positive else made.tanh())

    def as_states(self, made: torch.Tensor) -> torch.Tensor:
        """[N, L H] to [L, S, N, H]."""
        hidden = made.unflatten(1, (-1, self.hidden_dim)).transpose(0, 1)[:, None]
        return torch.cat([hidden, *[torch.zeros_like(hidden)] * (self.num_states - 1)], dim=1)


class ExactBridge:
    """The same of snapped [N, I], snapped."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge, self.linear = bridge, exact.Linear(bridge.weight, bridge.bias)

    def __call__(self, known: torch.Tensor) -> torch.Tensor:
        made = self.linear(known)
        return self.bridge.as_states(
            exact.snapped(exact.sigmoid(made) if self.bridge.is_positive else exact.tanh(made))
        )
