"""Places that look at words: by the definition, blind to padding, nothing at first."""

import pytest
import torch
from torch import nn

from ganrnn.networks.images.style_generator import StyleGenerator
from ganrnn.networks.images.word_attention import WordAttention, Words

LENGTHS = torch.tensor([4, 1, 2])


def words(num_tokens: int = 4) -> Words:
    outputs = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    more = torch.full((3, num_tokens - 4, 6), 9.0)
    return Words.of(torch.cat([outputs, more], 1), LENGTHS)


def attention(gain: float) -> WordAttention:
    torch.manual_seed(1)
    layer = WordAttention(5, 6).requires_grad_(False)
    layer.gain.fill_(gain)
    return layer


def test_each_place_gets_the_mean_of_the_words_that_answer_it() -> None:
    layer, x = attention(0.7), torch.randn(3, 5, 2, 3, generator=torch.Generator().manual_seed(2))
    outputs = layer(x, words())
    for row, length in enumerate(LENGTHS.tolist()):
        text_words = words().outputs[row, :length]
        for y in range(2):
            for column in range(3):
                own = x[row, :, y, column]
                shares = (layer.to_key(text_words) @ layer.to_query(own) * 5**-0.5).softmax(0)
                expected = own + 0.7 * shares @ layer.to_value(text_words)
                torch.testing.assert_close(outputs[row, :, y, column], expected, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing() -> None:
    x = torch.randn(3, 5, 2, 3)
    torch.testing.assert_close(attention(0.7)(x, words(7)), attention(0.7)(x, words()), rtol=0, atol=1e-6)


def test_at_first_it_adds_nothing() -> None:
    x = torch.randn(3, 5, 2, 3)
    assert torch.equal(attention(0.0)(x, words()), x)
    assert WordAttention(5, 6).gain.item() == 0


def generator(word_dim: int) -> StyleGenerator:
    torch.manual_seed(3)
    return StyleGenerator(32, 64, 5, 3, 8, 4, word_dim=word_dim)


def test_a_generator_looks_at_words_on_its_smaller_maps() -> None:
    G = generator(6)
    assert len(G.looking) == 2  # 4 x 8 and 8 x 16 places, not 16 x 32
    assert len(generator(0).looking) == 0
    z, condition = torch.randn(3, 5), torch.randn(3, 3)
    plain = G(z, condition)
    assert torch.equal(G(z, condition, (), words()), plain)
    for layer in G.looking:
        nn.init.ones_(layer.gain)  # type: ignore[arg-type]
    seen = G(z, condition, (), words())
    assert (seen - plain).abs().amax((1, 2, 3)).min() > 1e-3
    turned = Words(words().outputs.flip(0), words().mask)
    assert (G(z, condition, (), turned) - seen).abs().amax((1, 2, 3))[[0, 2]].min() > 1e-3
    seen.sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().max() > 0 for n, p in G.looking.named_parameters() if "key.bias" not in n
    )


@pytest.mark.parametrize("wrap", [False, True])
def test_panoramas_may_look_too(wrap: bool) -> None:
    G = StyleGenerator(16, 32, 5, 3, 8, 4, wrap, word_dim=6)
    assert G(torch.randn(3, 5), torch.randn(3, 3), (), words()).shape == (3, 3, 16, 32)
