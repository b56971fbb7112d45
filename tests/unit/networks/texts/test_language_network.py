"""Texts of random networks: as likely as the network says, and the same to the last bit in any company."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ganrnn import exact, noise
from ganrnn.decoding.decode import DecodingRequest, generate
from ganrnn.networks.texts.language_network import ExactLanguageNetwork, LanguageNetwork
from ganrnn.networks.texts.recurrent import Cell
from ganrnn.text.vocabulary import BEGIN, END, PAD, SPECIAL_TOKENS, TextVocabulary
from tests.unit.decoding.table_writer import request_of

WIDE = "abcdefghijklmnopqrstuvwxyz ,.!"


def network_of(
    cell: Cell, embedding_dim: int = 12, hidden_dim: int = 16
) -> tuple[LanguageNetwork, ExactLanguageNetwork]:
    torch.manual_seed(0)
    vocabulary = TextVocabulary("character", (*SPECIAL_TOKENS, *WIDE))
    network = LanguageNetwork(
        len(vocabulary),
        cell,
        embedding_dim,
        hidden_dim,
        2,
        tied=True,
        dropout=0.2,
        variational=True,
        weight_drop=0.0,
        layer_norm=True,
    ).eval()
    network.embedding.weight.data *= 3.0  # so that some tokens are likelier than others
    network.bias.data[END] = -2.0
    return network.requires_grad_(False), ExactLanguageNetwork(network, vocabulary)


def texts_of(model: ExactLanguageNetwork, requests: Sequence[DecodingRequest], size: int) -> list[str]:
    """All that was written, as text."""
    text_reprs = []
    for start in range(0, len(requests), size):
        part = requests[start : start + size]
        text_reprs += [repr(generated) for generated in generate(model, model.begin(len(part)), part)]
    return text_reprs


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_a_text_is_the_same_in_any_company(cell: Cell) -> None:
    _, model = network_of(cell)
    kinds: list[dict[str, Any]] = [
        {},
        {"top_p": 0.8, "temperature": 1.3},
        {"num_beams": 3, "length_penalty": 0.6},
        {"top_k": 7, "min_p": 0.01, "repetition_penalty": 1.2},
        {"temperature": 0.0},
        {"num_beams": 2, "no_repeat_ngram": 2, "stop": ("e",)},
    ]
    requests = [
        request_of(model, WIDE[key % 30 : key % 30 + key % 4], key, max_tokens=8, **kinds[key % 6]) for key in range(64)
    ]
    expected = texts_of(model, requests, 64)
    assert len(set(expected)) > 40
    assert texts_of(model, requests[:12], 1) == expected[:12]
    assert texts_of(model, requests[:28], 7) == expected[:28]
    order = noise.permutation(64, 0, cell).tolist()
    for size in (64, 30):
        shuffled = texts_of(model, [requests[i] for i in order], size)
        assert shuffled == [expected[i] for i in order]


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru", "mingru"])
def test_what_is_written_is_as_likely_as_the_network_says(cell: Cell) -> None:
    network, model = network_of(cell)
    requests = [request_of(model, WIDE[key : key + 3], key, max_tokens=20) for key in range(8)]
    for request, generated in zip(requests, generate(model, model.begin(8), requests), strict=True):
        targets = [*generated.tokens, END] if generated.finish == "end" else [*generated.tokens]
        logits = network.logits(network(torch.tensor([[BEGIN, *targets[:-1]]]), network.stack.begin(1))[0])
        own = logits[0].log_softmax(1).gather(1, torch.tensor(targets)[:, None])[len(request.prefix) :]
        assert generated.log_probability == pytest.approx(own.sum().item(), abs=2e-3 * len(own))
        assert generated.text == "".join(WIDE[token - 4] for token in generated.tokens)


def test_exact_logits_are_near_those_of_the_network() -> None:
    network, model = network_of("gru")
    tokens = torch.randint(4, 34, (5, 20), generator=torch.Generator().manual_seed(0))
    expected = network.logits(network(tokens, network.stack.begin(5))[0])
    state = model.begin(5)
    for t in range(20):
        logits, state = model.step(tokens[:, t], state)
        assert logits.dtype == state.dtype == torch.float64
        torch.testing.assert_close(logits, expected[:, t].double(), rtol=0, atol=5e-3)
    taken = model.select_rows(state, torch.tensor([3, 0, 3]))
    assert torch.equal(taken, state[:, :, [3, 0, 3]]) and model.log_coverage(taken) == [0.0] * 3


def test_logits_of_a_row_have_the_same_bits_in_any_company() -> None:
    network, model = network_of("lstm", embedding_dim=96, hidden_dim=130)
    tokens = torch.randint(4, 34, (64, 3), generator=torch.Generator().manual_seed(0))
    state = model.begin(64)
    alone = [model.begin(1) for _ in range(64)]
    for t in range(3):
        logits, state = model.step(tokens[:, t], state)
        for row in range(64):
            own, alone[row] = model.step(tokens[row : row + 1, t], alone[row])
            assert torch.equal(own[0], logits[row])
        # All factors were rounded, else the sums would have finer steps.
        exponent = math.frexp(float(network.logit_weight.abs().max()))[1]
        step = 2.0 ** (exponent - exact.WEIGHT_BITS - exact.VALUE_BITS)
        assert torch.equal((logits / step).round() * step, logits)


def test_texts_are_drawn_as_often_as_they_are_likely() -> None:
    network = network_of("gru", embedding_dim=5, hidden_dim=7)[0].eval()
    torch.manual_seed(0)
    drawn = network.draw(4_000, 3)
    assert drawn.shape == (4_000, 4) and (drawn[:, 0] == BEGIN).all()
    features, state = network(drawn[:, :1], network.stack.begin(4_000))
    first = network.logits(features)[0, 0, END:].softmax(0)
    counts = torch.bincount(drawn[:, 1] - END, minlength=len(first)) / 4_000
    assert (counts - first).abs().max() < 0.03 and first.max() - first.min() > 0.03
    is_end = drawn[:, 1] == END
    assert is_end.any() and (drawn[is_end, 2:] == PAD).all() and (drawn[~is_end, 2] >= END).all()
    again = network(drawn[~is_end, 1:2], state[:, :, ~is_end])[0]
    own = network.choice_logits(again)[:, 0].softmax(1)
    seconds = torch.bincount(drawn[~is_end, 2] - END, minlength=len(first)) / int((~is_end).sum())
    assert (seconds - own.mean(0)).abs().max() < 0.03
    torch.manual_seed(0)
    assert torch.equal(network.draw(4_000, 3), drawn)


def test_drawing_ends_when_all_texts_have() -> None:
    network = network_of("gru", embedding_dim=5, hidden_dim=7)[0].eval()
    with torch.no_grad():
        network.bias[END] = 50.0
    assert torch.equal(network.draw(3, 40), torch.tensor([[BEGIN, END]] * 3))
