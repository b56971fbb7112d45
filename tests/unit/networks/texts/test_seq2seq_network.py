"""A network that writes while it looks at a source: all steps at once or one by one in exact sums, in any company."""

import math
from dataclasses import fields
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganrnn import exact
from ganrnn.networks.texts.attention import mixed
from ganrnn.networks.texts.recurrent import Cell
from ganrnn.networks.texts.seq2seq_network import ExactSeq2Seq, Seq2SeqNetwork, Seq2SeqState, token_mask
from ganrnn.objectives.sequences import coverage_loss, cross_entropies
from ganrnn.text.vocabulary import BEGIN, PAD, SPECIAL_TOKENS, TextVocabulary

N, S, T, E, H = 4, 6, 5, 8, 12
SOURCE_LENGTHS, TARGET_LENGTHS = torch.tensor([6, 1, 4, 2]), torch.tensor([5, 3, 2, 1])
VOCABULARY = TextVocabulary("character", (*SPECIAL_TOKENS, *"abcdefghijklmnop"))
V = len(VOCABULARY)

Settings = dict[str, Any]
# Each value of each setting stands beside every cell, most pairs of values together somewhere.
VARIANTS: dict[str, Settings] = {
    "plain": {},
    "covers": {"covers": True, "shared": True, "tied": False, "layer_norm": True, "num_decoder_layers": 3},
    "additive": {"attention": "additive", "num_directions": 2, "num_decoder_layers": 2, "num_encoder_layers": 2},
    "copies": {"copies": True, "shared": True, "num_directions": 2, "num_decoder_layers": 2},
    "pointer": {"attention": "additive", "copies": True, "covers": True, "shared": True, "tied": False},
    "all": {
        "attention": "additive",
        "copies": True,
        "covers": True,
        "shared": True,
        "layer_norm": True,
        "num_directions": 2,
        "num_encoder_layers": 2,
        "num_decoder_layers": 3,
    },
}
CASES = {f"{cell}-{name}": {"cell": cell, **variant} for cell in get_args(Cell) for name, variant in VARIANTS.items()}

cases = pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
# All cells, and all the rest with one of them.
SOME = [name for name in CASES if name.endswith("-all") or name.startswith("gru")]
some_cases = pytest.mark.parametrize("settings", [CASES[name] for name in SOME], ids=SOME)
cells = pytest.mark.parametrize("settings", [CASES[f"{cell}-all"] for cell in get_args(Cell)], ids=get_args(Cell))


def network_of(embedding_dim: int = E, hidden_dim: int = H, **changes: Any) -> Seq2SeqNetwork:
    """Large weights, so that tokens are not all alike; sources have a vocabulary of their own unless `shared`."""
    torch.manual_seed(0)
    rules: Settings = {"shared": False, "tied": True, "copies": False, "covers": False, "layer_norm": False}
    rules |= {"dropout": 0.0, "variational": False, "weight_drop": 0.0}
    sizes: Settings = {
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "num_directions": 1,
        "attention": "multiplicative",
    }
    settings: Settings = {"embedding_dim": embedding_dim, "hidden_dim": hidden_dim} | sizes | rules | changes
    num_source_tokens = V if settings["shared"] else 15
    network = Seq2SeqNetwork(num_source_tokens, V, **settings)
    network.target_embedding.weight.data *= 2.0
    nn.init.normal_(network.bias, std=0.5)
    if network.attention.covering is not None:
        nn.init.uniform_(network.attention.covering, -1.0, 1.0)
    for norm in network.modules():
        if isinstance(norm, nn.LayerNorm):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network


def tokens_of(lengths: torch.Tensor, num: int, most: int, seed: int) -> torch.Tensor:
    made = torch.randint(4, most, (len(lengths), num), generator=torch.Generator().manual_seed(seed))
    return made.masked_fill(~token_mask(made, lengths), PAD)


SOURCE = tokens_of(SOURCE_LENGTHS, S, 15, seed=1)
TARGET = torch.cat([torch.full((N, 1), BEGIN), tokens_of(TARGET_LENGTHS, T, V, seed=2)], 1)
INPUTS, WANTED = TARGET[:, :-1], TARGET[:, 1:]
# A decoder's inputs are never PAD before the end of a row; those of this are of full length.
FULL = torch.cat([torch.full((N, 1), BEGIN), tokens_of(torch.full((N,), T - 1), T - 1, V, seed=3)], 1)


def logits_of(
    network: Seq2SeqNetwork, source: torch.Tensor, lengths: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """All steps at once: logits [N, T, V] and shares [N, T, S]."""
    features, shares = network(source, lengths, tokens)
    return network.logits(features, shares, source), shares


def run(
    writer: ExactSeq2Seq, source: torch.Tensor, lengths: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, Seq2SeqState]:
    """Logits [N, T, V], one step after the other, and the state after."""
    state, logits = writer.begin(source, lengths), []
    for token in tokens.unbind(1):
        made, state = writer.step(token, state)
        logits.append(made)
    return torch.stack(logits, 1), state


@cases
def test_steps_in_exact_sums_are_near_all_steps_at_once(settings: Settings) -> None:
    network = network_of(**settings).requires_grad_(False)
    logits, shares = logits_of(network, SOURCE, SOURCE_LENGTHS, FULL)
    made, state = run(ExactSeq2Seq(network, VOCABULARY), SOURCE, SOURCE_LENGTHS, FULL)
    assert made.dtype == torch.float64 and logits.shape == (N, T, V) and shares.shape == (N, T, S)
    # States are rounded to 2^-14, and steps and layers add some of that up; a logit is a sum over E or H features of
    # such times weights of about 1. A normalised feature is off by more, as its deviation may be as low as a tenth.
    factor = 20 if settings.get("layer_norm") else 1
    expected = logits.double().log_softmax(2)
    torch.testing.assert_close(made.log_softmax(2), expected, rtol=0, atol=4e-4 * factor)
    torch.testing.assert_close(state.covered, shares.double().sum(1), rtol=0, atol=1.5e-4 * factor)
    assert expected.std(2).min() > 0.3 and (expected[:, 0] - expected[:, -1]).abs().amax(1).min() > 0.02


def by_definition(network: Seq2SeqNetwork, source: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Logits [T, V] of a source [S] without padding and the tokens [T] of a target."""
    memory, end = network.reader(network.embeddings[0][source][None], torch.tensor([len(source)]))
    begin = network.bridge.weight @ end[0] + network.bridge.bias
    begin = torch.sigmoid(begin) if network.bridge.is_positive else torch.tanh(begin)
    num_states = 2 if network.asking.layers[0].cell == "lstm" else 1
    states = torch.zeros(len(begin) // H, num_states, 1, H, dtype=begin.dtype)
    states[:, 0, 0] = begin.view(-1, H)
    asked, rest, queries, logits = states[:1], states[1:], [], []
    for token in tokens:
        query, asked = network.asking(network.embeddings[1][token][None, None], asked)
        queries.append(query)
        shares = network.attention(torch.cat(queries, 1), memory, torch.ones(1, len(source), dtype=torch.bool))[:, -1]
        found = sum(shares[0, s] * memory[0, s] for s in range(len(source)))
        output = query
        if network.above is not None:
            output, rest = network.above(torch.cat([query[0, 0], found])[None, None], rest)
        output = torch.tanh(network.joined.weight @ torch.cat([output[0, 0], found]) + network.joined.bias)
        logits.append(network.logit_weight @ output + network.bias)
        if network.writes is not None:
            logits[-1] = mixed(logits[-1][None, None], network.writes(output)[None], shares[None], source[None])[0, 0]
    return torch.stack(logits)


@cases
def test_all_steps_at_once_are_the_definition(settings: Settings) -> None:
    network = network_of(**settings).double().requires_grad_(False)
    logits, _ = logits_of(network, SOURCE, SOURCE_LENGTHS, FULL)
    for row, length in enumerate(SOURCE_LENGTHS.tolist()):
        expected = by_definition(network, SOURCE[row, :length], FULL[row])
        torch.testing.assert_close(logits[row], expected, rtol=0, atol=1e-10)


def loss_of(network: Seq2SeqNetwork, rows: slice, num_source: int, num_target: int) -> torch.Tensor:
    source, lengths = SOURCE[rows, :num_source], SOURCE_LENGTHS[rows]
    logits, shares = logits_of(network, source, lengths, INPUTS[rows, :num_target])
    loss = cross_entropies(logits, WANTED[rows, :num_target], 0.1)[1]
    return loss + coverage_loss(shares, WANTED[rows, :num_target])


@cases
def test_gradients_of_a_padded_batch_are_those_of_its_rows(settings: Settings) -> None:
    network = network_of(**settings).double()
    parameters = list(network.parameters())
    together = torch.autograd.grad(loss_of(network, slice(N), S, T), parameters)
    pairs = zip(SOURCE_LENGTHS.tolist(), TARGET_LENGTHS.tolist(), strict=True)
    losses = [loss_of(network, slice(row, row + 1), *lengths) for row, lengths in enumerate(pairs)]
    alone = torch.autograd.grad(torch.stack(losses).sum(), parameters)
    for (name, _), made, expected in zip(network.named_parameters(), together, alone, strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-10)
        assert made.abs().max() > 1e-6, name  # every parameter learns


@some_cases
def test_the_gradient_is_the_slope_of_the_loss(settings: Settings) -> None:
    network = network_of(**settings).double()
    gradients = torch.autograd.grad(loss_of(network, slice(N), S, T), list(network.parameters()))
    for (name, parameter), made in zip(network.named_parameters(), gradients, strict=True):
        held, sides = parameter.data.clone(), []
        direction = made / made.norm()  # along its own gradient a loss rises by the gradient's length
        for step in (1e-5, -1e-5):
            parameter.data = held + step * direction
            with torch.no_grad():
                sides.append(loss_of(network, slice(N), S, T).item())
        parameter.data = held
        assert (sides[0] - sides[1]) / 2e-5 == pytest.approx(made.norm().item(), rel=1e-4, abs=1e-6), name


@cases
def test_a_later_token_changes_no_earlier_logit(settings: Settings) -> None:
    network = network_of(**settings).double().requires_grad_(False)
    logits, shares = logits_of(network, SOURCE, SOURCE_LENGTHS, FULL)
    changed = FULL.clone()
    changed[:, 3] = 4 + (FULL[:, 3] - 3) % (V - 4)
    others, other_shares = logits_of(network, SOURCE, SOURCE_LENGTHS, changed)
    moved = (others - logits).abs().amax(2)
    assert moved[:, :3].max() < 1e-12 and moved[:, 3:].min() > 1e-6
    assert (other_shares - shares)[:, :3].abs().max() < 1e-12


@some_cases
def test_every_token_of_the_source_counts_and_its_padding_does_not(settings: Settings) -> None:
    network = network_of(**settings).double().requires_grad_(False)
    logits, _ = logits_of(network, SOURCE, SOURCE_LENGTHS, FULL)
    for position in range(S):
        changed = SOURCE.clone()
        changed[:, position] = 4 + (SOURCE[:, position] - 3) % 11
        moved = (logits_of(network, changed, SOURCE_LENGTHS, FULL)[0] - logits).abs().amax((1, 2))
        there = position < SOURCE_LENGTHS
        assert moved[there].min() > 1e-6 and (not moved[~there].numel() or moved[~there].max() < 1e-12)
    longer, shares = logits_of(network, F.pad(SOURCE, (0, 7)), SOURCE_LENGTHS, FULL)
    torch.testing.assert_close(longer, logits, rtol=0, atol=1e-12)
    assert shares[:, :, S:].abs().max() == 0


@some_cases
def test_exact_logits_have_the_same_bits_in_any_company(settings: Settings) -> None:
    writer = ExactSeq2Seq(network_of(40, 48, **settings), VOCABULARY)
    logits, state = run(writer, SOURCE, SOURCE_LENGTHS, FULL)
    unread = writer.log_coverage(state)
    for row, length in enumerate(SOURCE_LENGTHS.tolist()):
        rows = slice(row, row + 1)
        own, own_reading = run(writer, SOURCE[rows, :length], SOURCE_LENGTHS[rows], FULL[rows])
        assert torch.equal(own[0], logits[row])
        assert torch.equal(own_reading.states[0], state.states[row]) and writer.log_coverage(own_reading) == [
            unread[row]
        ]
    order = torch.tensor([2, 0, 3, 1, 2])
    padded = F.pad(SOURCE[order], (0, 9))
    moved, moved_reading = run(writer, padded, SOURCE_LENGTHS[order], FULL[order])
    assert torch.equal(moved, logits[order])
    assert writer.log_coverage(moved_reading) == [unread[row] for row in order]


@some_cases
def test_every_factor_of_an_exact_product_is_rounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    product, seen = exact.Linear.__call__, []

    def checked(self: exact.Linear, x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.equal(exact.snapped(x), x))
        return product(self, x)

    monkeypatch.setattr(exact.Linear, "__call__", checked)
    writer = ExactSeq2Seq(network_of(**settings), VOCABULARY)
    _, state = run(writer, SOURCE, SOURCE_LENGTHS, FULL[:, :2])
    assert len(seen) > 20 and all(seen)
    for states in (state.memory, state.keys, state.states):
        assert torch.equal(exact.snapped(states), states)


@cells
def test_taken_rows_go_on_as_they_would_have(settings: Settings) -> None:
    writer = ExactSeq2Seq(network_of(**settings), VOCABULARY)
    _, state = run(writer, SOURCE, SOURCE_LENGTHS, FULL[:, :3])
    whole, after = writer.step(FULL[:, 3], state)
    rows = torch.tensor([3, 0, 3])
    taken = writer.select_rows(state, rows)
    for field in fields(Seq2SeqState):
        assert torch.equal(getattr(taken, field.name), getattr(state, field.name)[rows]), field.name
    logits, following = writer.step(FULL[rows, 3], taken)
    assert torch.equal(logits, whole[rows])
    for field in fields(Seq2SeqState):
        assert torch.equal(getattr(following, field.name), getattr(after, field.name)[rows]), field.name
    assert writer.select_rows(state, torch.arange(2)).states.shape[0] == 2
    assert writer.select_rows(state, torch.tensor([], dtype=torch.int64)).source.shape == (0, S)
    torch.testing.assert_close(state.covered, run(writer, SOURCE, SOURCE_LENGTHS, FULL[:, :3])[1].covered)


def reading_of(covered: list[list[float]], lengths: list[int]) -> Seq2SeqState:
    held = torch.tensor(covered, dtype=torch.float64)
    nothing = torch.zeros(len(held), 1)
    return Seq2SeqState(nothing, token_mask(held, torch.tensor(lengths)), nothing, nothing, held, nothing)


def test_what_is_unread_is_the_sum_of_logarithms() -> None:
    # Wu et al. (2016): the sum over i of log(min(sum over t of a_ti, 1)).
    writer = ExactSeq2Seq(network_of(cell="gru"), VOCABULARY)
    found = writer.log_coverage(reading_of([[1.0, 3.0, 0.0], [0.5, 0.25, 1.75], [0.0, 1.0, 1.0]], [2, 3, 3]))
    assert found[0] == 0.0  # all was read, and padding need not be
    assert found[1] == pytest.approx(math.log(0.5) + math.log(0.25), abs=2.0**-19)
    assert found[2] == pytest.approx(-20 * math.log(2), abs=2.0**-19)  # never read is less than any share


@pytest.mark.parametrize("settings", [CASES["gru-plain"], CASES["lstm-all"]], ids=["plain", "all"])
def test_what_was_attended_to_is_read(settings: Settings) -> None:
    network = network_of(**settings).requires_grad_(False)
    writer = ExactSeq2Seq(network, VOCABULARY)
    state = writer.begin(SOURCE, SOURCE_LENGTHS)
    for step in range(T):
        _, state = writer.step(FULL[:, step], state)
        _, shares = logits_of(network, SOURCE, SOURCE_LENGTHS, FULL[:, : step + 1])
        found = writer.log_coverage(state)
        for row, length in enumerate(SOURCE_LENGTHS.tolist()):
            sums = [sum(shares[row, t, i].item() for t in range(step + 1)) for i in range(length)]
            assert found[row] == pytest.approx(sum(math.log(min(value, 1.0)) for value in sums), rel=2e-2, abs=1e-5)
    assert found[1] == 0.0 and found[0] < -0.1  # a source of one token is read at once


@cells
def test_a_text_begins_from_what_the_encoder_knows(settings: Settings) -> None:
    network = network_of(**settings).requires_grad_(False)
    state = ExactSeq2Seq(network, VOCABULARY).begin(SOURCE, SOURCE_LENGTHS)
    num_states = 2 if settings["cell"] == "lstm" else 1
    assert state.states.shape == (N, 3, num_states, H)
    assert torch.equal(state.mask, SOURCE != PAD) and torch.equal(state.source, SOURCE)
    assert state.covered.abs().max() == 0 and torch.equal(exact.snapped(state.states), state.states)
    hidden = state.states[:, :, 0]
    # Those of a cell whose states are never negative begin so; a cell memory begins empty.
    assert (hidden.min() > 0) == (settings["cell"] in ("mingru", "rnn_relu"))
    assert state.states[:, :, 1:].abs().sum() == 0
    assert (hidden[:, 0] - hidden[:, 1]).abs().max() > 1e-2 and (hidden[0] - hidden[1]).abs().max() > 1e-2


def num_parameters(**settings: Any) -> int:
    return sum(parameter.numel() for parameter in network_of(cell="gru", **settings).parameters())


def test_shared_and_tied_tables_are_one() -> None:
    own, shared = network_of(cell="gru"), network_of(cell="gru", shared=True)
    assert own.embeddings[0].shape == (15, E) and own.embeddings[1].shape == (V, E)
    assert shared.embeddings[0] is shared.embeddings[1] is shared.logit_weight
    assert num_parameters() - num_parameters(shared=True) == 15 * E
    # Untied, the last layer has as many features as states, and so has what it reads.
    assert num_parameters(tied=False) - num_parameters() == V * H + (H - E) * (2 * H + 1)
    assert num_parameters(shared=True, copies=True) - num_parameters(shared=True) == E + 1
    assert num_parameters(covers=True) - num_parameters() == 1
    assert num_parameters(attention="additive", covers=True) - num_parameters() == H * H + H + H + H


@pytest.mark.parametrize("cell", ["gru", "mingru"])
def test_what_is_only_copied_is_of_the_source(cell: Cell) -> None:
    network = network_of(**CASES[f"{cell}-all"]).requires_grad_(False)
    assert network.writes is not None
    network.writes.bias.data[:] = -60.0
    expected = torch.zeros(N, V, dtype=torch.bool).scatter(1, SOURCE, True)
    expected[:, PAD] = False
    for logits in (
        logits_of(network, SOURCE, SOURCE_LENGTHS, FULL)[0],
        run(ExactSeq2Seq(network, VOCABULARY), SOURCE, SOURCE_LENGTHS, FULL)[0],
    ):
        for step in range(T):
            assert torch.equal(logits[:, step] > -15.0, expected)
            total = torch.where(expected, logits[:, step].double().exp(), 0.0).sum(1)
            torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-5)


def test_dropout_is_for_training_alone() -> None:
    settings: Settings = {"cell": "gru", "dropout": 0.5, "weight_drop": 0.3, "num_decoder_layers": 2}
    network = network_of(**settings)
    first, second = (network(SOURCE, SOURCE_LENGTHS, FULL)[0] for _ in range(2))
    assert (first - second).abs().max() > 1e-2
    plain = network_of(cell="gru", num_decoder_layers=2)
    assert torch.equal(network.eval()(SOURCE, SOURCE_LENGTHS, FULL)[0], plain(SOURCE, SOURCE_LENGTHS, FULL)[0])
    exact_logits = [run(ExactSeq2Seq(held, VOCABULARY), SOURCE, SOURCE_LENGTHS, FULL)[0] for held in (network, plain)]
    assert torch.equal(*exact_logits)
