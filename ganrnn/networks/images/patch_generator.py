"""A style generator that paints patches of 2 x 2 pixels: no layer sees the full height and width.

Condition and style are scaled to a mean square of 1: the condition weighs as much as the noise from the first step, and
no rare noise gives a style out of proportion.
"""

import torch
from torch.nn import functional as F

from ganrnn.networks.images.convolution import Conv
from ganrnn.networks.images.style_generator import StyleGenerator


class PatchGenerator(StyleGenerator):
    """`StyleGenerator` whose last layer gives the four pixels of each place of the largest maps."""

    def _add_last_layers(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        # One layer for both: with layers of 1 x 1, by which each patch is painted alone, grids showed within objects.
        self.to_rgb = Conv(in_channels, 4 * out_channels, 3, self.wrap)
        _start_without_checkerboard(self.to_rgb)

    def _style_of(self, z: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return _scaled(super()._style_of(z, _scaled(condition)))

    def _picture_of(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(self.to_rgb(x), 2)


def _scaled(x: torch.Tensor) -> torch.Tensor:
    """Rows [N, D] scaled to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


@torch.no_grad()
def _start_without_checkerboard(to_rgb: Conv) -> None:
    """Give the four pixels of a patch the same weights.

    Aitken et al., "Checkerboard artifact free sub-pixel convolution" (2017).
    """
    for parameter in to_rgb.parameters():
        parameter.copy_(parameter[::4].repeat_interleave(4, 0))


# By `task.architecture`.
STYLE_GENERATORS: dict[str, type[StyleGenerator]] = {"style_patches": PatchGenerator, "style": StyleGenerator}
