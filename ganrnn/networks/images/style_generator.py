"""A style-modulated generator without normalisation layers: noise and condition give a style, which modulates layers.

With `wrap` the noise also rolls the columns of the smallest maps, the only ones with absolute positions, so that a
panorama may start anywhere.

Modulation scales a convolution's input channels and demodulation restores unit variance of its output, as in Karras
et al., "Analyzing and improving the image quality of StyleGAN" (CVPR 2020), applied to the activations so that one
ordinary convolution serves the whole batch.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.networks.images.convolution import GAIN, SLOPE, Conv, continued, double
from ganrnn.networks.images.pyramid import Pyramid
from ganrnn.networks.images.word_attention import MAX_POSITIONS, WordAttention, Words


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by a style, followed by demodulation and bias.

    It may also double its input, after the scale: both commute, and the smaller maps are scaled faster.
    """

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, kernel_size: int = 3, wrap: bool = False
    ) -> None:
        super().__init__()
        self.wrap, self.num_columns = wrap, kernel_size // 2 if wrap else 0
        self.padding = (kernel_size // 2, kernel_size // 2 - self.num_columns)
        fan_in = in_channels * kernel_size**2
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size) * fan_in**-0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.style = nn.Linear(style_dim, in_channels)
        nn.init.normal_(self.style.weight, std=style_dim**-0.5)
        nn.init.ones_(self.style.bias)

    def forward(
        self,
        x: torch.Tensor,  # [N, in_channels, H, W]
        style: torch.Tensor,  # [N, style_dim]
        doubles: bool = False,
    ) -> torch.Tensor:  # [N, out_channels, H, W], or [N, out_channels, 2 H, 2 W] where it doubles
        scale = self.style(style)
        power = self.weight.square().sum((2, 3))
        demodulation = torch.rsqrt(scale.square() @ power.T + 1e-8)
        x = x * scale[:, :, None, None]
        if doubles:
            x = double(x, self.wrap)
        x = F.conv2d(continued(x, self.num_columns), self.weight, padding=self.padding)
        return x * demodulation[:, :, None, None] + self.bias[:, None, None]


class StyleGenerator(nn.Module):
    """Noise and condition to pictures of any height x width that are multiples of 4 from 16 up.

    With `word_dim` the smaller maps also attend to the words of a text.
    """

    scales_style = False  # to one length, whatever the length of noise and condition

    def __init__(
        self,
        height: int,
        width: int,
        z_dim: int,
        condition_dim: int,
        style_dim: int,
        base_channels: int,
        wrap: bool = False,
        out_channels: int = 3,
        word_dim: int = 0,
    ) -> None:
        super().__init__()
        pyramid = Pyramid.of(height, width, base_channels)
        self.smallest, self.wrap = pyramid.sizes[0], wrap
        self.style = nn.Sequential(
            nn.Linear(z_dim + condition_dim, style_dim),
            nn.LeakyReLU(SLOPE),
            nn.Linear(style_dim, style_dim),
            nn.LeakyReLU(SLOPE),
        )
        self.ground = nn.Linear(style_dim, pyramid.channels[0] * self.smallest[0] * self.smallest[1])
        self.first = nn.ModuleList()
        self.looking = nn.ModuleList()
        self.second = nn.ModuleList()
        in_channels = pyramid.channels[0]
        for (height, width), channels in zip(pyramid.sizes, pyramid.channels, strict=True):
            if word_dim and height * width <= MAX_POSITIONS:
                self.looking.append(WordAttention(channels, word_dim))
            self.first.append(ModulatedConv(in_channels, channels, style_dim, wrap=wrap))
            self.second.append(ModulatedConv(channels, channels, style_dim, wrap=wrap))
            in_channels = channels
        self._add_last_layers(in_channels, out_channels, style_dim)

    def _add_last_layers(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        self.last = ModulatedConv(in_channels, in_channels, style_dim, kernel_size=1, wrap=self.wrap)
        self.to_rgb = Conv(in_channels, out_channels, 3, self.wrap)

    def forward(
        self,
        z: torch.Tensor,  # float32 [N, z_dim], standard normal
        condition: torch.Tensor,  # float32 [N, condition_dim]
        maps: Sequence[torch.Tensor] = (),  # added to the generator's own, [N, C, h, w] per size, the smallest first
        words: Words | None = None,  # attended to, if there is a `word_dim`
    ) -> torch.Tensor:  # float32 [N, out_channels, height, width], about -1 to 1, not clipped
        style = self._style_of(z, condition)
        x = self.ground(style).view(len(z), -1, *self.smallest)
        if self.wrap:
            x = _rolled(x, z)
        for level, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = F.leaky_relu(first(x, style, doubles=level > 0), SLOPE) * GAIN
            if maps:
                x = (x + maps[level]) * 0.5**0.5
            if words is not None and level < len(self.looking):
                x = self.looking[level](x, words)
            x = F.leaky_relu(second(x, style), SLOPE) * GAIN
        return self._picture_of(x, style)

    def matrices(self) -> list[nn.Parameter]:
        """The weights of the style and of the modulated convolutions, not of the layers that give maps and colours."""
        convolutions = [module for module in self.modules() if isinstance(module, ModulatedConv)]
        layers = [*self.style, *convolutions, *(convolution.style for convolution in convolutions)]
        named = (pair for layer in layers for pair in layer.named_parameters(recurse=False))
        return [parameter for name, parameter in named if name == "weight"]

    def _style_of(self, z: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        style: torch.Tensor = self.style(torch.cat([z, condition], dim=1))
        return style

    def _picture_of(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """The largest maps [N, C, H/2, W/2] to the picture [N, out_channels, H, W]."""
        x = F.leaky_relu(self.last(x, style, doubles=True), SLOPE) * GAIN
        picture: torch.Tensor = self.to_rgb(x)
        return picture


def _rolled(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Maps [N, C, h, w] rolled by a number of columns that is uniform and determined by z[:, 0]."""
    width = x.shape[3]
    turns = (torch.special.ndtr(z[:, :1]) * width).long()
    columns = (torch.arange(width, device=x.device) - turns) % width  # [N, w]
    return x.gather(3, columns[:, None, None, :].expand_as(x))
