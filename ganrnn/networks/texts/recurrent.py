"""Recurrent layers on the kernels of torch, and minGRU as a parallel scan.

States are float [S, N, H], with S = 2 for an LSTM (hidden and cell) and 1 otherwise; those of a stack [L, S, N, H].
"""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.errors import BadInput

Cell = Literal["rnn_tanh", "rnn_relu", "lstm", "gru", "mingru"]
NUM_GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3, "mingru": 2}
_LEAST = 1e-30


class RecurrentLayer(nn.Module):
    """One layer in one direction; gates are in torch's order.

    rnn_tanh, rnn_relu:  h_t = f(W_x x_t + W_h h_{t-1} + b)                            (Elman 1990)
    lstm:  i, f, g, o;  c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)                       (Hochreiter & Schmidhuber 1997)
    gru:   r, z, n;     h_t = (1 - z) n + z h_{t-1}                                     (Cho et al. 2014)
    mingru: z, n of the input alone;  h_t = (1 - z) h_{t-1} + z g(n)                    (Feng et al. 2024)
            where g(n) = n + 0.5 from 0 up and sigmoid(n) below

    `weight_drop` is the probability with which a recurrent weight is 0 for a whole sequence (Merity et al. 2018).
    """

    def __init__(self, cell: Cell, input_dim: int, hidden_dim: int, weight_drop: float = 0.0) -> None:
        super().__init__()
        if cell == "mingru" and weight_drop:
            raise BadInput(f"task.weight_drop is {weight_drop} and task.cell mingru: it has no recurrent weights")
        self.cell, self.hidden_dim, self.weight_drop = cell, hidden_dim, weight_drop
        rows = NUM_GATES[cell] * hidden_dim
        self.weight_x = nn.Parameter(torch.empty(rows, input_dim))
        self.bias_x = nn.Parameter(torch.empty(rows))
        self.weight_h = nn.Parameter(torch.empty(rows, hidden_dim)) if cell != "mingru" else None
        self.bias_h = nn.Parameter(torch.empty(rows)) if cell != "mingru" else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden_dim**-0.5), hidden_dim**-0.5)

    @property
    def num_states(self) -> int:
        """S, the number of states."""
        return 2 if self.cell == "lstm" else 1

    def forward(
        self,
        x: torch.Tensor,  # [N, T, I]
        state: torch.Tensor,  # [S, N, H]
    ) -> tuple[torch.Tensor, torch.Tensor]:  # [N, T, H], [S, N, H] after the last step
        if self.weight_h is None:
            outputs = _scanned(F.linear(x, self.weight_x, self.bias_x), state[0])
            return outputs, outputs[None, :, -1]
        assert self.bias_h is not None
        weights = [self.weight_x, self._dropped(self.weight_h), self.bias_x, self.bias_h]
        is_training = torch.is_grad_enabled()  # cuDNN's training mode; its dropout is not used
        if self.cell == "lstm":
            hidden_and_cell = (state[:1], state[1:])
            outputs, hidden, cell_state = torch.lstm(
                x, hidden_and_cell, weights, True, 1, 0.0, is_training, False, True
            )
            return outputs, torch.cat([hidden, cell_state])
        kernel = {"gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}[self.cell]
        return kernel(x, state, weights, True, 1, 0.0, is_training, False, True)

    def _dropped(self, weight: torch.Tensor) -> torch.Tensor:
        return F.dropout(weight, self.weight_drop, self.training) if self.weight_drop else weight


def _scanned(gates: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """All steps of a minGRU at once, from gates [N, T, 2 H] and the initial state [N, H], by a scan of logarithms.

    Feng et al., "Were RNNs all we needed?" (2024), after Heinsen, "Efficient parallelization of a ubiquitous sequential
    computation" (2023).
    """
    z, n = gates.chunk(2, dim=2)
    log_kept = F.logsigmoid(-z).cumsum(1)
    log_n = torch.where(n >= 0, (n.clamp_min(0) + 0.5).log(), F.logsigmoid(n))
    log_added = torch.cat([before.clamp_min(_LEAST).log()[:, None], F.logsigmoid(z) + log_n - log_kept], dim=1)
    return (log_kept + log_added.logcumsumexp(1)[:, 1:]).exp()


class RecurrentStack(nn.Module):
    """A stack of layers, with optional dropout before and layer normalisation after each layer.

    `variational` drops the same features at all steps of a sequence (Gal & Ghahramani 2016).
    """

    def __init__(
        self,
        cell: Cell,
        input_dim: int,
        hidden_dim: int,
        num_layers: int,
        dropout: float = 0.0,
        variational: bool = False,
        weight_drop: float = 0.0,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        dims = [input_dim, *[hidden_dim] * (num_layers - 1)]
        self.layers = nn.ModuleList(RecurrentLayer(cell, dim, hidden_dim, weight_drop) for dim in dims)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) if layer_norm else nn.Identity() for _ in dims)
        self.dropout, self.variational, self.hidden_dim = dropout, variational, hidden_dim

    def begin(self, num_rows: int) -> torch.Tensor:
        """The state before the first step, zeros [L, S, N, H]."""
        layer: RecurrentLayer = self.layers[0]  # type: ignore[assignment]
        return layer.bias_x.new_zeros(len(self.layers), layer.num_states, num_rows, self.hidden_dim)

    def forward(
        self,
        x: torch.Tensor,  # [N, T, I]
        state: torch.Tensor,  # [L, S, N, H]
    ) -> tuple[torch.Tensor, torch.Tensor]:  # [N, T, H], [L, S, N, H]
        next_states = []
        for layer, norm, layer_state in zip(self.layers, self.norms, state, strict=True):
            x, next_layer_state = layer(self.drop(x), layer_state)
            x = norm(x)
            next_states.append(next_layer_state)
        return x, torch.stack(next_states)

    def read(self, x: torch.Tensor) -> torch.Tensor:
        """Rows [N, T, I] to outputs [N, T, H], from zero states."""
        outputs: torch.Tensor = self(x, self.begin(len(x)))[0]
        return outputs

    def drop(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout of features [N, T, D] in training mode."""
        if not self.variational:
            return F.dropout(x, self.dropout, self.training)
        return x * F.dropout(torch.ones_like(x[:, :1]), self.dropout, self.training)
