"""A recurrent stack, step by step, in exact sums: the other rows of a batch change no bit of a row's states.

Equations and weights are those of `ganrnn/networks/texts/recurrent.py`, the weights rounded as in `exact`.
"""

import torch
from torch import nn

from ganrnn import exact
from ganrnn.networks.texts.recurrent import RecurrentLayer, RecurrentStack


class ExactLayer:
    """One recurrent layer."""

    def __init__(self, layer: RecurrentLayer) -> None:
        self.cell, self.num_states = layer.cell, layer.num_states
        self.from_input = exact.Linear(layer.weight_x, layer.bias_x)
        self.from_state = None if layer.weight_h is None else exact.Linear(layer.weight_h, layer.bias_h)

    def step(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Snapped inputs [N, I] and states [S, N, H] to the next states, of which the first is the output."""
        gates = self.from_input(x)
        if self.from_state is None:
            n = gates.chunk(2, dim=1)[1]
            z, small = exact.sigmoid(gates).chunk(2, dim=1)
            return exact.snapped((1.0 - z) * state[0] + z * torch.where(n >= 0, n + 0.5, small))[None]
        recurrent = self.from_state(state[0])
        if self.cell == "gru":
            r, z = exact.sigmoid((gates + recurrent)[:, : -state.shape[2]]).chunk(2, dim=1)
            n = exact.tanh(gates.chunk(3, dim=1)[2] + r * recurrent.chunk(3, dim=1)[2])
            return exact.snapped((1.0 - z) * n + z * state[0])[None]
        total = gates.add_(recurrent)
        if self.cell == "lstm":
            total.chunk(4, dim=1)[2].mul_(2.0)
            i, f, g, o = exact.sigmoid(total).chunk(4, dim=1)  # tanh(x) = 2 sigmoid(2 x) - 1
            memory = exact.snapped(f * state[1].float() + i * (2.0 * g - 1.0))
            return torch.stack([exact.snapped(o * exact.tanh(memory)), memory])
        return exact.snapped(exact.tanh(total) if self.cell == "rnn_tanh" else total.clamp_min(0.0))[None]


class ExactNorm:
    """Layer normalisation."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.weight, self.bias, self.epsilon = norm.weight.double(), norm.bias.double(), norm.eps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Snapped [N, H] to snapped [N, H]."""
        centred = exact.snapped(x - x.sum(1, keepdim=True) / x.shape[1])
        variance = centred.square().sum(1, keepdim=True) / x.shape[1]
        return exact.snapped(centred / (variance + self.epsilon).sqrt() * self.weight + self.bias)


class ExactStack:
    """All layers of a recurrent stack."""

    def __init__(self, stack: RecurrentStack) -> None:
        self.layers = [ExactLayer(layer) for layer in stack.layers]  # type: ignore[arg-type]
        self.norms = [ExactNorm(norm) if isinstance(norm, nn.LayerNorm) else None for norm in stack.norms]
        self.hidden_dim = stack.hidden_dim

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs [N, I] and states [L, S, N, H] to outputs [N, H] and the next states."""
        next_states = []
        for layer, norm, layer_state in zip(self.layers, self.norms, state, strict=True):
            next_layer_state = layer.step(x, layer_state)
            x = norm(next_layer_state[0]) if norm else next_layer_state[0]
            next_states.append(next_layer_state)
        return x, torch.stack(next_states)

    def read(self, x: torch.Tensor) -> torch.Tensor:
        """Snapped rows [N, T, I] to outputs [N, T, H], from zero states."""
        state = x.new_zeros(len(self.layers), self.layers[0].num_states, len(x), self.hidden_dim)
        outputs = []
        for step in range(x.shape[1]):
            output, state = self.step(x[:, step], state)
            outputs.append(output)
        return torch.stack(outputs, dim=1)
