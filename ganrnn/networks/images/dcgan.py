"""The networks of DCGAN: strided and fractionally strided convolutions with batch normalisation.

Radford et al., "Unsupervised representation learning with deep convolutional generative adversarial networks" (ICLR
2016), for any height x width that are multiples of 4 from 16 up. The paper has no conditions: here the generator reads
them with the noise, and the discriminator projects them onto its features.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import SLOPE, DoublingConv, HalvingConv
from ganrnn.networks.images.projection_discriminator import ProjectionLogits
from ganrnn.networks.images.pyramid import Pyramid


class DcganGenerator(nn.Module):
    """Noise and condition to pictures: a linear map to the smallest size, then one doubling after another."""

    def __init__(
        self, height: int, width: int, z_dim: int, condition_dim: int, base_channels: int, wrap: bool = False
    ) -> None:
        super().__init__()
        pyramid = Pyramid.of(height, width, base_channels)
        self.smallest, channels = pyramid.sizes[0], pyramid.channels
        area = self.smallest[0] * self.smallest[1]
        self.ground = nn.Linear(z_dim + condition_dim, channels[0] * area, bias=False)
        self.norm = nn.BatchNorm2d(channels[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(DoublingConv(a, b, wrap, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(channels)
        )
        self.to_rgb = DoublingConv(channels[-1], 3, wrap)
        self.apply(_initialise)

    def forward(
        self,
        z: torch.Tensor,  # float32 [N, z_dim], standard normal
        condition: torch.Tensor,  # float32 [N, condition_dim]
    ) -> torch.Tensor:  # float32 [N, 3, height, width], -1 to 1
        x = self.ground(torch.cat([z, condition], dim=1)).view(len(z), -1, *self.smallest)
        x = F.relu(self.norm(x))
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.to_rgb(x))


class DcganDiscriminator(ProjectionLogits):
    """Pictures to features, features and conditions to logits.

    Its features are linear in the last maps, like the logit of the paper. In training mode a picture's features
    depend on the other pictures of the batch, so a gradient penalty of a single picture's logit is not defined.
    """

    def __init__(
        self, height: int, width: int, condition_dim: int, feature_dim: int, base_channels: int, wrap: bool = False
    ) -> None:
        super().__init__()
        pyramid = Pyramid.of(height, width, base_channels)
        channels = tuple(reversed(pyramid.channels))
        self.first = HalvingConv(3, channels[0], wrap)
        self.blocks = nn.ModuleList(
            nn.Sequential(HalvingConv(a, b, wrap, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(SLOPE))
            for a, b in pairwise(channels)
        )
        area = pyramid.sizes[0][0] * pyramid.sizes[0][1]
        self.features = nn.Linear(channels[-1] * area, feature_dim)
        self.add_projection(condition_dim, feature_dim)
        self.apply(_initialise)

    def trunk(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to the smallest maps [N, C, h, w]."""
        x = F.leaky_relu(self.first(images), SLOPE)
        for block in self.blocks:
            x = block(x)
        return x

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to features [N, feature_dim]."""
        return self.features(self.trunk(images).flatten(1))


def _initialise(layer: nn.Module) -> None:
    """Weights normal(0, 0.02) as in the paper, gains normal(1, 0.02) as in its code, no offsets."""
    if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        nn.init.normal_(layer.weight, float(isinstance(layer, nn.BatchNorm2d)), 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
