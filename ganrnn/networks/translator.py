"""A generator that starts from a picture and adds to it what has to change.

The source is read into maps of every size, over which a style generator paints, as the skips of a U-Net (Isola et al.,
"Image-to-image translation with conditional adversarial networks", CVPR 2017). What it paints is a difference: 0 leaves
the source as it is. A mask between the two would do so more sharply, but one that is shut learns nothing any more.
"""

import torch
from torch import nn

from ganrnn.networks.projection_discriminator import PictureReader
from ganrnn.networks.style_generator import StyleGenerator


class Translator(nn.Module):
    """Noise, condition and source picture to a picture of the same size, multiples of 4 from 16 up."""

    def __init__(
        self,
        height: int,
        width: int,
        z_dim: int,
        condition_dim: int,
        style_dim: int,
        base_channels: int,
        wrap: bool = False,
    ) -> None:
        super().__init__()
        self.reader = PictureReader(height, width, style_dim, base_channels, wrap)
        self.painter = StyleGenerator(height, width, z_dim, condition_dim + style_dim, style_dim, base_channels, wrap)

    def forward(
        self,
        z: torch.Tensor,  # float32 [N, z_dim], standard normal
        condition: torch.Tensor,  # float32 [N, condition_dim]
        source: torch.Tensor,  # float32 [N, 3, height, width], -1 to 1
    ) -> torch.Tensor:  # float32 [N, 3, height, width], about -1 to 1, not clipped
        maps = self.reader.maps(source)
        condition = torch.cat([condition, self.reader.summary(maps[-1])], dim=1)
        change: torch.Tensor = self.painter(z, condition, maps[::-1])
        return source + change
