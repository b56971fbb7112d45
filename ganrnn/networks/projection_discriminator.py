"""A projection discriminator: realism and agreement with the condition, added up in one logit.

Miyato and Koyama, "cGANs with projection discriminator" (ICLR 2018). The picture is read once; any number of
conditions can then be held against it for the price of a matrix product.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.pyramid import Pyramid
from ganrnn.networks.style_generator import GAIN, SLOPE


def conv(in_channels: int, out_channels: int, kernel_size: int, gain: float = 1.0) -> nn.Conv2d:
    """A convolution that keeps the variance of its input, times gain squared."""
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    nn.init.normal_(layer.weight, std=gain * (in_channels * kernel_size**2) ** -0.5)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class DownBlock(nn.Module):
    """Residual block without normalisation that halves the picture."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = conv(in_channels, in_channels, 3, GAIN)
        self.second = conv(in_channels, out_channels, 3, GAIN)
        self.skip = conv(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [N, C, H, W] -> [N, C', H/2, W/2]
        y = F.leaky_relu(self.first(x), SLOPE)
        y = F.avg_pool2d(y, 2)
        y = F.leaky_relu(self.second(y), SLOPE)
        return (y + self.skip(F.avg_pool2d(x, 2))) * 0.5**0.5


class ProjectionDiscriminator(nn.Module):
    """Pictures to features, features and conditions to logits."""

    def __init__(self, height: int, width: int, condition_dim: int, feature_dim: int, base_channels: int) -> None:
        super().__init__()
        pyramid = Pyramid.of(height, width, base_channels)
        channels = tuple(reversed(pyramid.channels))
        self.from_patches = conv(3 * 4, channels[0], 3, GAIN)
        self.blocks = nn.ModuleList(DownBlock(a, b) for a, b in pairwise(channels))
        self.last = conv(channels[-1], channels[-1], 3, GAIN)
        area = pyramid.sizes[0][0] * pyramid.sizes[0][1]
        self.features = nn.Linear(channels[-1] * area, feature_dim)
        self.realism = nn.Linear(feature_dim, 1)
        self.project = nn.Linear(condition_dim, feature_dim)

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to features [N, feature_dim]."""
        x = F.leaky_relu(self.from_patches(F.pixel_unshuffle(images, 2)), SLOPE)
        for block in self.blocks:
            x = block(x)
        x = F.leaky_relu(self.last(x), SLOPE)
        return F.leaky_relu(self.features(x.flatten(1)), SLOPE) * GAIN

    def logits(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Every picture against every condition: [N, feature_dim], [M, condition_dim] -> [N, M]."""
        agreement = features @ self.project(condition).T * features.shape[1] ** -0.5
        return self.realism(features) + agreement
