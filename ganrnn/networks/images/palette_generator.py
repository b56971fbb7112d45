"""A style generator that mixes each pixel from a palette of the picture and a colour of the pixel's own.

The style gives the palette, a few colours that hold for the whole picture; the last layer gives each pixel a colour and
the shares by which that and the palette are mixed. One decision about a colour then paints a whole object, and edges
between objects are as sharp as the shares. No layer sees the full height and width: the last one paints patches of 2 x
2 pixels.

Condition and style are scaled to a mean square of 1: the condition weighs as much as the noise from the first step, and
no rare noise gives a style out of proportion.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import Conv
from ganrnn.networks.images.style_generator import StyleGenerator

_NUM_COLOURS = 7


class PaletteGenerator(StyleGenerator):
    """`StyleGenerator` whose last layer mixes the four pixels of each place of the largest maps from a palette."""

    scales_style = True

    def _add_last_layers(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        # One layer for all: with layers of 1 x 1, by which each patch is painted alone, grids showed within objects.
        self.to_mixture = Conv(in_channels, 4 * (out_channels + 1 + _NUM_COLOURS), 3, self.wrap)
        _start_without_checkerboard(self.to_mixture)
        self.palette = nn.Linear(style_dim, _NUM_COLOURS * out_channels)

    def _style_of(self, z: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return _scaled(super()._style_of(z, _scaled(condition)))

    def _picture_of(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        mixture = self.to_mixture(x).view(len(x), -1, 4, height, width)  # [N, channels, 4 pixels of a patch, H/2, W/2]
        own, logits = mixture[:, : -1 - _NUM_COLOURS], mixture[:, -1 - _NUM_COLOURS :]
        shares = logits.softmax(1)
        palette = self.palette(style).view(len(x), _NUM_COLOURS, -1)  # [N, _NUM_COLOURS, out_channels]
        patches = own * shares[:, :1] + torch.einsum("nkphw,nkc->ncphw", shares[:, 1:], palette)
        return F.pixel_shuffle(patches.flatten(1, 2), 2)


def _scaled(x: torch.Tensor) -> torch.Tensor:
    """Rows [N, D] scaled to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


@torch.no_grad()
def _start_without_checkerboard(layer: Conv) -> None:
    """Give the four pixels of a patch the same weights.

    Aitken et al., "Checkerboard artifact free sub-pixel convolution" (2017).
    """
    for parameter in layer.parameters():
        parameter.copy_(parameter[::4].repeat_interleave(4, 0))


# By `task.architecture`.
STYLE_GENERATORS: dict[str, type[StyleGenerator]] = {"style_palette": PaletteGenerator, "style": StyleGenerator}
