"""A generator that paints over a picture: what it keeps, what it can change, and that a ring stays a ring."""

import pytest
import torch

from ganrnn.networks.images.translator import Translator


def parts(num_rows: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z, condition = torch.randn(num_rows, 4, generator=generator), torch.randn(num_rows, 6, generator=generator)
    return z, condition, torch.rand(num_rows, 3, height, width, generator=generator) * 2 - 1


def translator(height: int = 16, width: int = 16, wrap: bool = False) -> Translator:
    torch.manual_seed(1)
    return Translator(height, width, 4, 6, 16, 4, wrap)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 48), (64, 32)])
def test_pictures_keep_their_size(height: int, width: int) -> None:
    assert translator(height, width)(*parts(2, height, width)).shape == (2, 3, height, width)


def test_a_shut_mask_keeps_the_source_and_an_open_one_hides_it() -> None:
    G, (z, condition, source) = translator(), parts(2, 16, 16)
    with torch.no_grad():
        G.painter.to_mixture.weight.zero_()
        own_colour, shares = [0.5, 0.5, 0.5, -1e4], [100.0] + [0.0] * 7
        G.painter.to_mixture.bias.copy_(torch.tensor(own_colour + shares).repeat_interleave(4))
        assert (G(z, condition, source) - source).abs().max() < 1e-3
        G.painter.to_mixture.bias[12:16] = 1e4
        assert (G(z, condition, source) - 0.5).abs().max() < 1e-3


def test_a_mask_that_is_shut_still_learns() -> None:
    G, (z, condition, source) = translator(), parts(2, 16, 16)
    with torch.no_grad():
        G.painter.to_mixture.bias[12:16] = -100
    (G(z, condition, source) - 1).square().mean().backward()
    gradient = G.painter.to_mixture.bias.grad
    assert gradient is not None and gradient[12:16].abs().min() > 1e-6


def test_noise_condition_and_source_all_matter() -> None:
    G, held = translator(), parts(2, 16, 16)
    whole = G(*held)
    for i in range(3):
        changed = [part.flip(0) if i == place else part for place, part in enumerate(held)]
        assert not torch.equal(G(*changed), whole)


def test_turning_a_ring_turns_what_is_painted() -> None:
    G, (z, condition, source) = translator(16, 32, wrap=True), parts(2, 16, 32)
    # The painter's ground and the summary of the source have places; without them only the source says what is where.
    with torch.no_grad():
        G.painter.ground.weight.zero_()
        G.painter.ground.bias.zero_()
        G.reader.features.weight.zero_()
        turned = G(z, condition, source.roll(8, 3))
        torch.testing.assert_close(turned, G(z, condition, source).roll(8, 3), rtol=1e-4, atol=1e-4)
