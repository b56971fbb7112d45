"""Residual networks: a generator with conditional batch normalisation, a discriminator without any normalisation.

Miyato et al., "Spectral normalization for generative adversarial networks" (ICLR 2018), with the projection of Miyato
and Koyama, "cGANs with projection discriminator" (ICLR 2018), for any height x width that are multiples of 4 from 16
up. Noise and condition set the gains and offsets of every layer as in Brock et al., "Large scale GAN training for high
fidelity natural image synthesis" (ICLR 2019). The maps of full size have half of `base_channels`, so that all sizes
cost about the same.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import conv, double
from ganrnn.networks.images.projection_discriminator import ProjectionLogits
from ganrnn.networks.images.pyramid import Pyramid

RELU_GAIN = 2**0.5  # keeps the variance through a ReLU


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain, around 1, and offset are linear in a style."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(style_dim, channels)
        self.offset = nn.Linear(style_dim, channels)

    def forward(
        self,
        x: torch.Tensor,  # [N, channels, H, W]
        style: torch.Tensor,  # [N, style_dim]
    ) -> torch.Tensor:  # [N, channels, H, W]
        return self.norm(x) * (1 + self.gain(style))[:, :, None, None] + self.offset(style)[:, :, None, None]


class UpBlock(nn.Module):
    """Residual block that doubles the size; its convolutions have no biases, which the next norm would remove."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, wrap: bool = False) -> None:
        super().__init__()
        self.wrap = wrap
        self.first_norm = ConditionalBatchNorm(in_channels, style_dim)
        self.first = conv(in_channels, out_channels, 3, RELU_GAIN, wrap, bias=False)
        self.second_norm = ConditionalBatchNorm(out_channels, style_dim)
        self.second = conv(out_channels, out_channels, 3, RELU_GAIN, wrap, bias=False)
        self.skip = conv(in_channels, out_channels, 1, bias=False)

    def forward(
        self,
        x: torch.Tensor,  # [N, in_channels, H, W]
        style: torch.Tensor,  # [N, style_dim]
    ) -> torch.Tensor:  # [N, out_channels, 2 H, 2 W]
        y = self.first(double(F.relu(self.first_norm(x, style)), self.wrap))
        y = self.second(F.relu(self.second_norm(y, style)))
        # Doubling commutes with a convolution of 1 x 1, which is cheaper before it.
        return y + double(self.skip(x), self.wrap)


class ResidualGenerator(nn.Module):
    """Noise and condition to pictures."""

    def __init__(
        self, height: int, width: int, z_dim: int, condition_dim: int, base_channels: int, wrap: bool = False
    ) -> None:
        super().__init__()
        pyramid = Pyramid.of(height, width, base_channels)
        self.smallest = pyramid.sizes[0]
        style_dim = z_dim + condition_dim
        channels = (*pyramid.channels, _outermost(base_channels))
        self.ground = nn.Linear(style_dim, channels[0] * self.smallest[0] * self.smallest[1])
        self.blocks = nn.ModuleList(UpBlock(a, b, style_dim, wrap) for a, b in pairwise(channels))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.to_rgb = conv(channels[-1], 3, 3, wrap=wrap)

    def forward(
        self,
        z: torch.Tensor,  # float32 [N, z_dim], standard normal
        condition: torch.Tensor,  # float32 [N, condition_dim]
    ) -> torch.Tensor:  # float32 [N, 3, height, width], -1 to 1
        style = torch.cat([z, condition], dim=1)
        x = self.ground(style).view(len(z), -1, *self.smallest)
        for block in self.blocks:
            x = block(x, style)
        return torch.tanh(self.to_rgb(F.relu(self.norm(x))))


class DownBlock(nn.Module):
    """Residual block without normalisation that halves the size unless `halve` is off."""

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, wrap: bool = False, halve: bool = True
    ) -> None:
        super().__init__()
        self.halve = halve
        self.first = conv(in_channels, hidden_channels, 3, RELU_GAIN, wrap)
        # Each branch has half of the variance, which keeps the initial logits of a deep stack small.
        self.second = conv(hidden_channels, out_channels, 3, RELU_GAIN * 0.5**0.5, wrap)
        self.skip = conv(in_channels, out_channels, 1, 0.5**0.5)

    def forward(
        self,
        x: torch.Tensor,  # [N, in_channels, H, W]
        is_picture: bool = False,  # a ReLU would cut off the dark half of a picture
    ) -> torch.Tensor:  # [N, out_channels, H/2, W/2] or [N, out_channels, H, W]
        y = self.second(F.relu(self.first(x if is_picture else F.relu(x))))
        if self.halve:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return y + self.skip(x)


class ResidualDiscriminator(ProjectionLogits):
    """Pictures to features, features and conditions to logits. The features are scaled means over the last maps."""

    def __init__(
        self, height: int, width: int, condition_dim: int, feature_dim: int, base_channels: int, wrap: bool = False
    ) -> None:
        super().__init__()
        channels = tuple(reversed(Pyramid.of(height, width, base_channels).channels))
        self.first = DownBlock(3, _outermost(base_channels), channels[0], wrap)
        self.blocks = nn.ModuleList(DownBlock(a, a, b, wrap) for a, b in pairwise(channels))
        self.last = DownBlock(channels[-1], channels[-1], feature_dim, wrap, halve=False)
        self.add_projection(condition_dim, feature_dim)

    def trunk(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to the smallest maps [N, feature_dim, h, w]."""
        x = self.first(images, is_picture=True)
        for block in self.blocks:
            x = block(x)
        return F.relu(self.last(x))

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to features [N, feature_dim]."""
        # The paper sums over a map of 4 x 4; 16 times the mean is the same for maps of any size.
        return self.trunk(images).mean((2, 3)) * 16


def _outermost(base_channels: int) -> int:
    """Channels of the maps of full size."""
    return (base_channels + 1) // 2
