"""Texts to latents and back: padding changes no gradient, exact sums are near the float ones and know no neighbours."""

from typing import Any

import pytest
import torch

from ganrnn.networks.texts.recurrent import Cell
from ganrnn.networks.texts.text_autoencoder import ExactDecoder, ExactEncoder, TextAutoencoder
from ganrnn.objectives.sequences import cross_entropies
from ganrnn.text.vocabulary import BEGIN, END, PAD, SPECIAL_TOKENS, TextVocabulary

VOCABULARY = TextVocabulary("character", (*SPECIAL_TOKENS, *"abcdefgh"))
V, D = len(VOCABULARY), 6
ROWS = ["abcdefg", "h", "", "gaga", "fed"]
LABELS = torch.tensor([0, 1, 1, 0, 1])
TOKENS = torch.tensor([[BEGIN, *VOCABULARY.encode(row), END, *[PAD] * (7 - len(row))] for row in ROWS])

cases = pytest.mark.parametrize(("cell", "num_layers", "num_labels"), [("lstm", 2, 0), ("gru", 1, 2), ("mingru", 1, 0)])


def network_of(cell: Cell, num_layers: int = 1, num_labels: int = 0, **rules: Any) -> TextAutoencoder:
    torch.manual_seed(0)
    network = TextAutoencoder(V, cell, 8, 12, num_layers, num_layers, D, num_labels, 3, tied=False, **rules)
    network.to_latent.weight.data *= 3.0  # so that latents differ, and what is said of them
    network.bridge.weight.data *= 3.0
    network.decoder.own_weight.data *= 3.0  # type: ignore[union-attr]
    return network.eval()


def loss_of(network: TextAutoencoder, rows: slice, num_tokens: int) -> torch.Tensor:
    tokens, labels = TOKENS[rows, : num_tokens + 2], LABELS[rows]
    features = network(network.encode(tokens[:, 1:]), labels, tokens[:, :-1])
    return cross_entropies(network.decoder.logits(features), tokens[:, 1:])[0]


@cases
def test_gradients_of_a_padded_batch_are_those_of_its_rows(cell: Cell, num_layers: int, num_labels: int) -> None:
    network = network_of(cell, num_layers, num_labels).double()
    parameters = list(network.parameters())
    together = torch.autograd.grad(loss_of(network, slice(None), 7), parameters)
    losses = [loss_of(network, slice(row, row + 1), len(text)) for row, text in enumerate(ROWS)]
    alone = torch.autograd.grad(torch.stack(losses).sum(), parameters)
    for (name, _), made, expected in zip(network.named_parameters(), together, alone, strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-10)
        assert made.abs().max() > 1e-6, name  # every parameter learns


@cases
def test_exact_latents_and_logits_are_near_the_float_ones(cell: Cell, num_layers: int, num_labels: int) -> None:
    network = network_of(cell, num_layers, num_labels).requires_grad_(False)
    latents = ExactEncoder(network)(TOKENS[:, 1:])
    torch.testing.assert_close(latents, network.encode(TOKENS[:, 1:]).double(), rtol=0, atol=2e-3)
    assert latents.square().sum(1).sub(D).abs().max() < 1e-2
    expected = network.decoder.logits(network(latents.float(), LABELS, TOKENS[:, :-1]))
    speaker = ExactDecoder(network, VOCABULARY)
    state = speaker.begin(latents, LABELS)
    for position in range(TOKENS.shape[1] - 1):
        logits, state = speaker.step(TOKENS[:, position], state)
        torch.testing.assert_close(logits, expected[:, position].double(), rtol=0, atol=5e-3)
    assert expected[:, 0].std(0).median() > 0.05, "the first token's logits know the latent"
    assert speaker.log_coverage(state) == [0.0] * len(ROWS)


@cases
def test_latents_and_logits_have_the_same_bits_in_any_company(cell: Cell, num_layers: int, num_labels: int) -> None:
    network = network_of(cell, num_layers, num_labels).requires_grad_(False)
    encoder, speaker = ExactEncoder(network), ExactDecoder(network, VOCABULARY)
    latents = encoder(TOKENS[:, 1:])
    state = speaker.begin(latents, LABELS)
    first, state = speaker.step(TOKENS[:, 0], state)
    second, _ = speaker.step(TOKENS[:, 1], state)
    taken = speaker.select_rows(state, torch.tensor([3, 0, 3]))
    assert torch.equal(speaker.step(TOKENS[[3, 0, 3], 1], taken)[0], second[[3, 0, 3]])
    for row, text in enumerate(ROWS):
        latent = encoder(TOKENS[row : row + 1, 1 : len(text) + 2])
        assert torch.equal(latent[0], latents[row])
        own, after = speaker.step(TOKENS[row : row + 1, 0], speaker.begin(latent, LABELS[row : row + 1]))
        assert torch.equal(own[0], first[row])
        assert torch.equal(speaker.step(TOKENS[row : row + 1, 1], after)[0][0], second[row])


def test_a_label_changes_what_is_said_of_a_latent() -> None:
    speaker = ExactDecoder(network_of("gru", num_labels=2).requires_grad_(False), VOCABULARY)
    latents = ExactEncoder(network_of("gru", num_labels=2))(TOKENS[:, 1:])
    one, other = (speaker.step(TOKENS[:, 0], speaker.begin(latents, labels))[0] for labels in (LABELS, 1 - LABELS))
    assert (one - other).abs().amax(1).min() > 1e-2
