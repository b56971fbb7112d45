"""A logit of a prefix sees the prefix and nothing else: no later token, no padding, no neighbour."""

import pytest
import torch
from torch import nn

from ganrnn.networks.texts.prefix_discriminator import prefix_discriminator
from ganrnn.text.vocabulary import PAD

KINDS = [("rnn", "gru"), ("rnn", "lstm"), ("cnn", "gru")]
N, T, V = 5, 14, 9


def network(kind: str, cell: str, dropout: float = 0.3) -> nn.Module:
    torch.manual_seed(0)
    return prefix_discriminator(kind, V, cell, 6, 8, dropout).eval()  # type: ignore[arg-type]


def texts(seed: int = 0) -> torch.Tensor:
    return torch.randint(3, V, (N, T), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "cell"), KINDS)
def test_a_logit_sees_its_prefix_alone(kind: str, cell: str) -> None:
    discriminator, tokens, others = network(kind, cell), texts(), texts(1)
    logits = discriminator(tokens)
    assert logits.shape == (N, T)
    for position in range(T):
        changed = torch.cat([tokens[:, : position + 1], others[:, position + 1 :]], dim=1)
        torch.testing.assert_close(discriminator(changed)[:, : position + 1], logits[:, : position + 1])
        shorter = discriminator(tokens[:, : position + 1])
        torch.testing.assert_close(shorter, logits[:, : position + 1])


@pytest.mark.parametrize(("kind", "cell"), KINDS)
def test_a_logit_sees_all_of_a_short_prefix(kind: str, cell: str) -> None:
    discriminator, tokens = network(kind, cell).double(), texts()
    logits = discriminator(tokens)
    for position in range(4):
        changed = tokens.clone()
        changed[:, position] = 3 + (tokens[:, position] - 2) % (V - 3)
        assert not torch.isclose(discriminator(changed)[:, position], logits[:, position], rtol=1e-6).any()
        assert (discriminator(changed)[:, 5] != logits[:, 5]).any(), "what was written before is remembered"


@pytest.mark.parametrize(("kind", "cell"), KINDS)
def test_padding_and_neighbours_change_no_logit_and_padding_learns_nothing(kind: str, cell: str) -> None:
    discriminator, tokens = network(kind, cell), texts()
    logits = discriminator(tokens)
    padded = torch.cat([tokens, torch.full((N, 6), PAD)], dim=1)
    torch.testing.assert_close(discriminator(padded)[:, :T], logits)
    torch.testing.assert_close(discriminator(tokens[2:3]), logits[2:3])
    discriminator(padded)[:, :T].sum().backward()
    expected = {name: p.grad.clone() for name, p in discriminator.named_parameters() if p.grad is not None}
    discriminator.zero_grad()
    discriminator(tokens).sum().backward()
    for name, parameter in discriminator.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)
    assert expected["embedding.weight"][PAD].abs().max() == 0


@pytest.mark.parametrize(("kind", "cell"), KINDS)
def test_dropout_is_for_training(kind: str, cell: str) -> None:
    discriminator, tokens = network(kind, cell), texts()
    assert torch.equal(discriminator(tokens), discriminator(tokens))
    discriminator.train()
    assert not torch.equal(discriminator(tokens), discriminator(tokens))


def test_the_recurrent_one_remembers_order_and_the_other_one_the_best_match() -> None:
    tokens = texts()
    convolutional = network("cnn", "gru")
    features: list[torch.Tensor] = []
    convolutional.to_logit.register_forward_hook(lambda _, given, __: features.append(given[0]))  # type: ignore[union-attr]
    convolutional(tokens)
    assert (features[0].diff(dim=1) >= 0).all() and (features[0].diff(dim=1) > 0).any()
    turned = torch.cat([tokens[:, :2].flip(1), tokens[:, 2:]], dim=1)
    recurrent = network("rnn", "gru")
    assert (recurrent(turned)[:, 3] - recurrent(tokens)[:, 3]).abs().max() > 1e-5
