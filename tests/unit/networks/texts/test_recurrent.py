"""Recurrent layers are their equations written out; sequences may be cut; dropout drops what its name says."""

from collections.abc import Callable
from typing import cast, get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.errors import BadInput
from ganrnn.networks.texts.language_network import LanguageNetwork
from ganrnn.networks.texts.recurrent import NUM_GATES, Cell, RecurrentLayer, RecurrentStack

CELLS: tuple[Cell, ...] = get_args(Cell)
N, T, D, H = 3, 7, 5, 4

cells = pytest.mark.parametrize("cell", CELLS)
Arrays = dict[str, np.ndarray]


def layer_of(cell: Cell, input_dim: int = D, hidden_dim: int = H, weight_drop: float = 0.0) -> RecurrentLayer:
    torch.manual_seed(0)
    layer = RecurrentLayer(cell, input_dim, hidden_dim, weight_drop).double()
    for parameter in layer.parameters():
        parameter.data *= 2.0  # so that gates leave the middle of their range
    return layer


def stack_of(cell: Cell, **settings: float | bool) -> RecurrentStack:
    torch.manual_seed(0)
    return RecurrentStack(cell, D, H, 3, **settings).double()  # type: ignore[arg-type]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def states(layer: RecurrentLayer, num: int = N) -> torch.Tensor:
    """States that the layer might have been left in: those of minGRU are positive."""
    start_state = drawn(layer.num_states, num, layer.hidden_dim, seed=1)
    return start_state.abs() if layer.cell == "mingru" else start_state


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def elman(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays, np.ndarray, np.ndarray], np.ndarray]:
    """h_t = f(W_h h_{t-1} + W_x x_t + b_h)."""

    def step(w: Arrays, x: np.ndarray, state: np.ndarray) -> np.ndarray:
        h = np.empty(H)
        for i in range(H):
            total = w["bias_h"][i] + w["bias_x"][i]  # torch writes b_h as a sum of two
            for j in range(H):
                total += w["weight_h"][i, j] * state[0, j]
            for j in range(D):
                total += w["weight_x"][i, j] * x[j]
            h[i] = f(total)
        return h[None]

    return step


def lstm(w: Arrays, x: np.ndarray, state: np.ndarray) -> np.ndarray:
    gates = w["weight_x"] @ x + w["bias_x"] + w["weight_h"] @ state[0] + w["bias_h"]
    i, f, g, o = (gates[k * H : (k + 1) * H] for k in range(4))
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return np.stack([sigmoid(o) * np.tanh(c), c])


def gru(w: Arrays, x: np.ndarray, state: np.ndarray) -> np.ndarray:
    of_x, of_h = w["weight_x"] @ x + w["bias_x"], w["weight_h"] @ state[0] + w["bias_h"]
    r, z = sigmoid(of_x[:H] + of_h[:H]), sigmoid(of_x[H : 2 * H] + of_h[H : 2 * H])
    n = np.tanh(of_x[2 * H :] + r * of_h[2 * H :])
    return ((1 - z) * n + z * state[0])[None]


def mingru(w: Arrays, x: np.ndarray, state: np.ndarray) -> np.ndarray:
    of_x = w["weight_x"] @ x + w["bias_x"]
    z, n = sigmoid(of_x[:H]), of_x[H:]
    return ((1 - z) * state[0] + z * np.where(n >= 0, n + 0.5, sigmoid(n)))[None]


WRITTEN_OUT: dict[Cell, Callable[[Arrays, np.ndarray, np.ndarray], np.ndarray]] = {
    "rnn_tanh": elman(np.tanh),
    "rnn_relu": elman(lambda total: np.maximum(total, 0.0)),
    "lstm": lstm,
    "gru": gru,
    "mingru": mingru,
}


def stepped(layer: RecurrentLayer, x: torch.Tensor, state: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [N, T, H] and last states [S, N, H] by the equations, row by row and step by step."""
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    outputs, after = np.empty((len(x), x.shape[1], H)), state.numpy().copy()
    for row in range(len(x)):
        for t in range(x.shape[1]):
            after[:, row] = WRITTEN_OUT[layer.cell](weights, x[row, t].numpy(), after[:, row])
            outputs[row, t] = after[0, row]
    return outputs, after


@cells
def test_a_layer_is_its_equations(cell: Cell) -> None:
    layer = layer_of(cell)
    assert layer.weight_x.shape == (NUM_GATES[cell] * H, D)
    for state in (states(layer), torch.zeros(layer.num_states, N, H, dtype=torch.float64)):
        x = drawn(N, T, D)
        outputs, after = layer(x, state)
        expected, last = stepped(layer, x, state)
        np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(after.detach().numpy(), last, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
def test_a_vanilla_network_is_two_lines(cell: Cell) -> None:
    # h_t = f(W_h h_{t-1} + W_x x_t + b_h) and y_t = g(W_y h_t + b_y), g being the softmax.
    torch.manual_seed(0)
    network = LanguageNetwork(
        9, cell, D, H, 1, tied=False, dropout=0.0, variational=False, weight_drop=0.0, layer_norm=False
    ).double()
    w = {name.removeprefix("stack.layers.0."): p.detach().numpy() for name, p in network.named_parameters()}
    w["bias"][:] = np.arange(9) / 10
    b_h = w["bias_h"] + w["bias_x"]
    f = np.tanh if cell == "rnn_tanh" else lambda total: np.maximum(total, 0.0)
    tokens = torch.randint(1, 9, (N, T), generator=torch.Generator().manual_seed(0))
    features, after = network(tokens, network.stack.begin(N))
    y = network.logits(features).softmax(2).detach().numpy()
    for row in range(N):
        h = np.zeros(H)
        for t in range(T):
            x = w["embedding.weight"][tokens[row, t]]
            h = f(w["weight_h"] @ h + w["weight_x"] @ x + b_h)
            g = np.exp(w["own_weight"] @ h + w["bias"])
            np.testing.assert_allclose(y[row, t], g / g.sum(), rtol=1e-10)
        np.testing.assert_allclose(after[0, 0, row].detach().numpy(), h, rtol=1e-10)


def sequential(layer: RecurrentLayer, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """minGRU one step after the other, with gradients."""
    outputs, h = [], before
    for z, n in (F.linear(x_t, layer.weight_x, layer.bias_x).chunk(2, 1) for x_t in x.unbind(1)):
        z = z.sigmoid()
        h = (1 - z) * h + z * torch.where(n >= 0, n + 0.5, torch.sigmoid(n))
        outputs.append(h)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_the_scan_of_mingru_is_its_sequential_form(num_steps: int) -> None:
    layer = layer_of("mingru")
    grads = []
    for form in (lambda x, before: layer(x, before[None])[0], lambda x, before: sequential(layer, x, before)):
        x, before = drawn(N, num_steps, D).requires_grad_(), drawn(N, H, seed=1).abs().requires_grad_()
        outputs = form(x, before)
        loss = (outputs * drawn(*outputs.shape, seed=2)).sum()
        grads.append((outputs, *torch.autograd.grad(loss, [x, before, *layer.parameters()])))
    for scanned, expected in zip(*grads, strict=True):
        torch.testing.assert_close(scanned, expected, rtol=1e-9, atol=1e-11)


@cells
def test_long_sequences_stay_finite(cell: Cell) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(cell, D, H)
    if layer.weight_h is not None:
        torch.nn.init.orthogonal_(layer.weight_h)
    x = drawn(2, 500, D).float().requires_grad_()
    outputs, after = layer(x, torch.zeros(layer.num_states, 2, H))
    outputs.mean().backward()
    assert outputs.isfinite().all() and after.isfinite().all()
    assert x.grad is not None and x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("gate", [-30.0, 0.0, 8.0])
def test_a_long_scan_in_single_precision_is_near_the_sequential_form(gate: float) -> None:
    layer = layer_of("mingru")
    layer.bias_x.data[:H] += gate  # hardly ever let in, half and half, nearly always
    x, before = drawn(2, 500, D), torch.zeros(2, H, dtype=torch.float64)
    expected = sequential(layer, x, before)
    start_state = layer.float()(x.float(), before[None].float())[0]
    torch.testing.assert_close(start_state.double(), expected, rtol=2e-3, atol=1e-6)


@cells
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_sequence_may_be_cut_anywhere(cell: Cell, layer_norm: bool) -> None:
    stack = stack_of(cell, layer_norm=layer_norm)
    x, state = drawn(N, T, D), stack.begin(N)
    whole, after = stack(x, state)
    assert whole.shape == (N, T, H) and after.shape == state.shape == (3, 2 if cell == "lstm" else 1, N, H)
    for cut in range(1, T):
        first, middle_state = stack(x[:, :cut], state)
        second, last = stack(x[:, cut:], middle_state)
        torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(last, after, rtol=0, atol=1e-12)
    # The state matters: without it the second part is another.
    assert (stack(x[:, 3:], state)[0] - whole[:, 3:]).abs().max() > 1e-3


@cells
def test_rows_know_nothing_of_each_other_and_steps_nothing_of_later_ones(cell: Cell) -> None:
    stack = stack_of(cell)
    x = drawn(N, T, D)
    whole, after = stack(x, stack.begin(N))
    order = torch.tensor([2, 0, 1])
    moved, moved_after = stack(x[order], stack.begin(N))
    torch.testing.assert_close(moved, whole[order], rtol=0, atol=1e-12)
    torch.testing.assert_close(moved_after, after[:, :, order], rtol=0, atol=1e-12)
    changed = x.clone()
    changed[:, 4:] += 1.0
    other = stack(changed, stack.begin(N))[0]
    torch.testing.assert_close(other[:, :4], whole[:, :4], rtol=0, atol=1e-12)
    assert ((other - whole)[:, 4:].abs().amax(2) > 1e-9).all()


@cells
def test_a_normalised_layer_has_mean_0_and_variance_1(cell: Cell) -> None:
    stack = stack_of(cell, layer_norm=True)
    x, state = drawn(N, T, D), stack.begin(N)
    outputs, after = stack(x, state)
    torch.testing.assert_close(outputs.mean(2), torch.zeros(N, T, dtype=torch.float64), rtol=0, atol=1e-12)
    inner = x
    layers, norms = cast(list[RecurrentLayer], stack.layers), cast(list[nn.LayerNorm], stack.norms)
    for layer, norm, middle_state in zip(layers, norms, after, strict=True):
        inner, own = layer(inner, torch.zeros_like(middle_state))
        torch.testing.assert_close(own, middle_state)  # what is carried on is not normalised
        spread = (inner.var(2, unbiased=False) + 1e-5).sqrt()
        inner = (inner - inner.mean(2, keepdim=True)) / spread[:, :, None]
        norm.weight.data[:] = 2.0
        torch.testing.assert_close(norm(inner), 2.0 * F.layer_norm(inner, (H,)))
        norm.weight.data[:] = 1.0
    torch.testing.assert_close(inner, outputs)


def test_variational_dropout_drops_the_same_features_at_every_step() -> None:
    x = torch.ones(40, 30, 20)
    variational, ordinary = (RecurrentStack("gru", 20, 4, 1, 0.4, variational=kind) for kind in (True, False))
    torch.manual_seed(0)
    dropped = variational.drop(x)
    assert torch.equal(dropped, dropped[:, :1].expand(-1, 30, -1))
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) == 40  # each row its own
    assert not torch.equal(variational.drop(x), dropped)  # each forward too
    assert not torch.equal(ordinary.drop(x), ordinary.drop(x)[:, :1].expand(-1, 30, -1))
    for start_state, num in ((dropped[:, 0], 800), (ordinary.drop(x), 24_000)):
        values, counts = start_state.unique(return_counts=True)
        assert values.tolist() == pytest.approx([0.0, 1 / 0.6])
        assert abs(counts[0].item() / num - 0.4) < 4 * (0.24 / num) ** 0.5
    for stack in (variational, ordinary):
        assert torch.equal(stack.eval().drop(x), x)


def test_dropout_stands_before_each_layer() -> None:
    stack = stack_of("gru", dropout=0.5)
    seen = []
    for layer in stack.layers:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    stack(drawn(N, T, D), stack.begin(N))
    assert [0.2 < (x == 0).double().mean().item() < 0.8 for x in seen] == [True] * 3
    seen.clear()
    stack.eval()(drawn(N, T, D), stack.begin(N))
    assert [(x == 0).any().item() for x in seen] == [False] * 3


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "mingru"])
def test_weight_drop_has_a_new_mask_for_each_sequence(cell: Cell) -> None:
    layer = layer_of(cell, weight_drop=0.5)
    x, state = drawn(1, 1, D).expand(2, T, D), states(layer)[:, :1].expand(-1, 2, -1).contiguous()
    torch.manual_seed(0)
    first, second = layer(x, state)[0], layer(x, state)[0]
    assert not torch.equal(first, second)
    torch.testing.assert_close(first[0], first[1])  # all rows of a batch, with the same mask
    # Half of the recurrent weights are 0 and the others twice as large, for the whole sequence; those of inputs stay.
    plain = layer_of(cell)
    torch.manual_seed(0)
    assert plain.weight_h is not None
    plain.weight_h.data = F.dropout(plain.weight_h.data, 0.5)
    assert 0.2 < (plain.weight_h == 0).double().mean().item() < 0.8
    assert torch.equal(plain(x, state)[0], first)
    layer.eval()
    assert torch.equal(layer(x, state)[0], layer(x, state)[0])
    assert torch.equal(layer(x, state)[0], layer_of(cell)(x, state)[0])


def test_mingru_has_no_recurrent_weights_to_drop() -> None:
    with pytest.raises(BadInput, match=r"task.weight_drop is 0.1 and task.cell mingru: it has no recurrent weights"):
        RecurrentLayer("mingru", D, H, 0.1)
    assert sorted(name for name, _ in layer_of("mingru").named_parameters()) == ["bias_x", "weight_x"]


@cells
def test_gradients_reach_every_weight_and_the_first_step(cell: Cell) -> None:
    settings = {"dropout": 0.1, "weight_drop": 0.0 if cell == "mingru" else 0.1, "layer_norm": True}
    stack = stack_of(cell, **settings)
    x, state = drawn(N, T, D).requires_grad_(), stack.begin(N)
    if cell == "mingru":
        state += 0.1  # a state of 0 stands for one far below, whose gradient is 0
    state.requires_grad_()
    outputs, _ = stack(x, state)
    (outputs[:, -1] * drawn(N, H, seed=2)).sum().backward()
    for name, parameter in stack.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert x.grad is not None and (x.grad[:, 0].abs().amax(1) > 0).all()
    assert state.grad is not None and state.grad[0, 0].abs().max() > 0


@cells
def test_weights_begin_within_their_bounds(cell: Cell) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(cell, 40, 64)
    for parameter in layer.parameters():
        assert 0.9 / 8 < parameter.abs().max().item() <= 1 / 8
        assert abs(parameter.mean().item()) < 0.05
