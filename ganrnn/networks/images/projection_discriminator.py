"""A projection discriminator: its logit is the sum of realism and agreement with the condition.

Miyato and Koyama, "cGANs with projection discriminator" (ICLR 2018). Features of a picture are computed once; logits
for any number of conditions then cost a matrix product.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import GAIN, SLOPE, conv
from ganrnn.networks.images.pyramid import Pyramid


class ProjectionLogits(nn.Module):
    """The last layers of all discriminators. A base class, so that they have the same names in every state_dict."""

    realism: nn.Linear
    project: nn.Linear | None

    def add_projection(self, condition_dim: int, feature_dim: int) -> None:
        """Create the layers of `logits`; without conditions there is no projection."""
        self.realism = nn.Linear(feature_dim, 1)
        self.project = nn.Linear(condition_dim, feature_dim) if condition_dim else None

    def logits(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Logits of every picture and every condition: [N, feature_dim], [M, condition_dim] -> [N, M]."""
        if self.project is None:
            return self.realism(features).expand(-1, len(condition))
        agreement = features @ self.project(condition).T * features.shape[1] ** -0.5
        return self.realism(features) + agreement


class DownBlock(nn.Module):
    """Residual block without normalisation that halves the picture."""

    def __init__(self, in_channels: int, out_channels: int, wrap: bool = False) -> None:
        super().__init__()
        self.first = conv(in_channels, in_channels, 3, GAIN, wrap)
        self.second = conv(in_channels, out_channels, 3, GAIN, wrap)
        self.skip = conv(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [N, C, H, W] -> [N, C', H/2, W/2]
        y = F.leaky_relu(self.first(x), SLOPE)
        y = F.avg_pool2d(y, 2)
        y = F.leaky_relu(self.second(y), SLOPE)
        return (y + self.skip(F.avg_pool2d(x, 2))) * 0.5**0.5


class ImageEncoder(nn.Module):
    """Pictures to maps of every size and to features."""

    def __init__(self, height: int, width: int, feature_dim: int, base_channels: int, wrap: bool = False) -> None:
        super().__init__()
        pyramid = Pyramid.of(height, width, base_channels)
        channels = tuple(reversed(pyramid.channels))
        self.from_patches = conv(3 * 4, channels[0], 3, GAIN, wrap)
        self.blocks = nn.ModuleList(DownBlock(a, b, wrap) for a, b in pairwise(channels))
        self.last = conv(channels[-1], channels[-1], 3, GAIN, wrap)
        area = pyramid.sizes[0][0] * pyramid.sizes[0][1]
        self.features = nn.Linear(channels[-1] * area, feature_dim)

    def matrices(self) -> list[nn.Parameter]:
        """The weights of the convolutions, not of the layers that read images and give features."""
        named = (pair for layer in (self.blocks, self.last) for pair in layer.named_parameters())
        return [parameter for name, parameter in named if name.endswith("weight")]

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to maps of every size, the largest first: [N, C, h, w] each."""
        maps = [F.leaky_relu(self.from_patches(F.pixel_unshuffle(images, 2)), SLOPE)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return [*maps[:-1], F.leaky_relu(self.last(maps[-1]), SLOPE)]

    def summary(self, smallest: torch.Tensor) -> torch.Tensor:
        """The last of `maps` to features [N, feature_dim]."""
        return F.leaky_relu(self.features(smallest.flatten(1)), SLOPE) * GAIN

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W] in -1 to 1 to features [N, feature_dim]."""
        return self.summary(self.maps(images)[-1])


class ProjectionDiscriminator(ProjectionLogits, ImageEncoder):
    """Pictures to features, features and conditions to logits."""

    def __init__(
        self, height: int, width: int, condition_dim: int, feature_dim: int, base_channels: int, wrap: bool = False
    ) -> None:
        super().__init__(height, width, feature_dim, base_channels, wrap)
        self.add_projection(condition_dim, feature_dim)
