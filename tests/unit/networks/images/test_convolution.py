"""Convolutions and doublings: torch's own without wrap, and with it a picture that has no left and right end."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import Conv, DoublingConv, HalvingConv, continued, conv, double

Layer = Callable[[torch.Tensor], torch.Tensor]

# How many columns the input has to be rolled by, and the output then is, for each layer.
SCALES = {"1": (1, 1), "3": (1, 1), "5": (1, 1), "halving": (2, 1), "doubling": (1, 2), "bilinear": (1, 2)}
every_layer = pytest.mark.parametrize("name", SCALES)


def layer_of(name: str, wrap: bool) -> Layer:
    torch.manual_seed(0)
    if name == "bilinear":
        return partial(double, wrap=wrap)
    if name in ("halving", "doubling"):
        return {"halving": HalvingConv, "doubling": DoublingConv}[name](2, 3, wrap).double()
    return Conv(2, 3, int(name), wrap).double()


def reference_of(name: str) -> Layer:
    """The layer of torch with the same random weights."""
    torch.manual_seed(0)
    if name == "bilinear":
        return nn.Upsample(scale_factor=2, mode="bilinear")
    if name in ("halving", "doubling"):
        return {"halving": nn.Conv2d, "doubling": nn.ConvTranspose2d}[name](2, 3, 4, stride=2, padding=1).double()
    return nn.Conv2d(2, 3, int(name), padding=int(name) // 2).double()


def pictures() -> torch.Tensor:
    return torch.randn(2, 2, 6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@every_layer
@torch.no_grad()
def test_without_wrap_equals_torchs_layer_bit_for_bit(name: str) -> None:
    assert torch.equal(layer_of(name, wrap=False)(pictures()), reference_of(name)(pictures()))


@every_layer
@torch.no_grad()
def test_with_wrap_equals_the_middle_of_three_pictures_side_by_side(name: str) -> None:
    result = layer_of(name, wrap=True)(pictures())
    side_by_side = reference_of(name)(torch.cat([pictures()] * 3, dim=3))
    into, out_of = SCALES[name]
    width = 8 * out_of // into
    assert result.shape == (2, 2 if name == "bilinear" else 3, 6 * out_of // into, width)
    torch.testing.assert_close(result, side_by_side[..., width : 2 * width], rtol=0, atol=1e-12)


@every_layer
@torch.no_grad()
def test_rolling_the_input_rolls_the_output_with_wrap_alone(name: str) -> None:
    into, out_of = SCALES[name]
    for wrap in (True, False):
        layer = layer_of(name, wrap)
        for steps in (1, 3):
            rolled = layer(pictures().roll(steps * into, 3))
            error = (rolled - layer(pictures()).roll(steps * out_of, 3)).abs().max()
            # A kernel of 1 x 1 has no edge to see.
            assert error < 1e-12 if wrap or name == "1" else error > 0.01


@every_layer
@torch.no_grad()
def test_rows_do_not_wrap(name: str) -> None:
    into, out_of = SCALES[name]
    layer = layer_of(name, wrap=True)
    error = (layer(pictures().roll(into, 2)) - layer(pictures()).roll(out_of, 2)).abs().max()
    assert error < 1e-12 if name == "1" else error > 0.01


@every_layer
def test_gradients_of_wrapped_layers_are_right_twice_over(name: str) -> None:
    """Gradient penalties take the slope of a slope."""
    layer, x = layer_of(name, wrap=True), pictures()[:1, :, :4, :4].requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_continued_takes_columns_from_the_other_edge() -> None:
    x = torch.arange(8.0).view(1, 1, 2, 4)
    expected = torch.tensor([[[[2.0, 3, 0, 1, 2, 3, 0, 1], [6, 7, 4, 5, 6, 7, 4, 5]]]])
    assert torch.equal(continued(x, 2), expected)
    assert continued(x, 0) is x


@pytest.mark.parametrize("wrap", [False, True])
@torch.no_grad()
def test_conv_keeps_the_variance_times_gain_squared(wrap: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 32, 16, 16)
    for gain in (1.0, 1.5):
        out = conv(32, 64, 3, gain, wrap)(x)
        # Borders see zeros, so the inside is measured.
        assert out[:, :, 1:-1, 1:-1].std().item() == pytest.approx(gain, rel=0.03)
    layer = conv(32, 64, 3)
    assert layer.bias is not None and not layer.bias.any()
    assert conv(32, 64, 3, bias=False).bias is None


@torch.no_grad()
def test_double_keeps_what_is_flat() -> None:
    for wrap in (False, True):
        assert torch.equal(double(torch.full((1, 2, 4, 4), 3.0), wrap), torch.full((1, 2, 8, 8), 3.0))
    assert torch.equal(double(pictures(), False), F.interpolate(pictures(), scale_factor=2, mode="bilinear"))
