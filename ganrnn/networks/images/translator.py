"""A generator that edits a source picture: it generates new colours and a mask of where they replace the source.

An encoder computes maps of the source at every size, and a style generator adds them to its own, like the skips of a
U-Net (Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017). Where the mask is
near 0 the source stays unchanged (Pumarola et al., "GANimation", ECCV 2018). The mask is a softsign and not a sigmoid:
copying is learnt first, and a saturated sigmoid would not open again.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.palette_generator import STYLE_GENERATORS
from ganrnn.networks.images.projection_discriminator import ImageEncoder


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
        architecture: str = "style_palette",
    ) -> None:
        super().__init__()
        self.reader = ImageEncoder(height, width, style_dim, base_channels, wrap)
        self.painter = STYLE_GENERATORS[architecture](
            height, width, z_dim, condition_dim + style_dim, style_dim, base_channels, wrap, out_channels=4
        )

    def forward(
        self,
        z: torch.Tensor,  # float32 [N, z_dim], standard normal
        condition: torch.Tensor,  # float32 [N, condition_dim]
        source: torch.Tensor,  # float32 [N, 3, height, width], -1 to 1
    ) -> torch.Tensor:  # float32 [N, 3, height, width], about -1 to 1, not clipped
        maps = self.reader.maps(source)
        condition = torch.cat([condition, self.reader.summary(maps[-1])], dim=1)
        output = self.painter(z, condition, maps[::-1])
        mask = (1 + F.softsign(output[:, 3:])) / 2
        return torch.lerp(source, output[:, :3], mask)
