"""Convolutions and upsampling of all networks, for ordinary pictures and for panoramas.

With `wrap` the picture is a panorama that continues from the right edge at the left: columns are padded circularly,
rows with zeros. All layers here then commute with rolling the columns, so networks of them cannot know the seam.
"""

import torch
from torch import nn
from torch.nn import functional as F

SLOPE = 0.2  # negative slope of the leaky ReLU
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # keeps the variance through the leaky ReLU


class Conv(nn.Conv2d):
    """Convolution with an odd kernel, [N, C, H, W] -> [N, C', H, W]; without `wrap` nn.Conv2d with zero padding."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, wrap: bool = False, bias: bool = True
    ) -> None:
        assert kernel_size % 2 == 1
        num_columns = kernel_size // 2 if wrap else 0
        padding = (kernel_size // 2, kernel_size // 2 - num_columns)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, bias=bias)
        self.num_columns = num_columns

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(continued(input, self.num_columns))


class HalvingConv(nn.Conv2d):
    """Convolution of 4 x 4 with stride 2, [N, C, H, W] -> [N, C', H/2, W/2], even H and W."""

    def __init__(self, in_channels: int, out_channels: int, wrap: bool = False, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 4, stride=2, padding=(1, 1 - int(wrap)), bias=bias)
        self.num_columns = int(wrap)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(continued(input, self.num_columns))


class DoublingConv(nn.ConvTranspose2d):
    """Fractionally strided convolution of 4 x 4, [N, C, H, W] -> [N, C', 2 H, 2 W]."""

    def __init__(self, in_channels: int, out_channels: int, wrap: bool = False, bias: bool = True) -> None:
        # Padding crops here: one more input column on each side makes two more output columns, which are cropped.
        super().__init__(in_channels, out_channels, 4, stride=2, padding=(1, 1 + 2 * int(wrap)), bias=bias)
        self.num_columns = int(wrap)

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        return super().forward(continued(input, self.num_columns), output_size)


def conv(
    in_channels: int, out_channels: int, kernel_size: int, gain: float = 1.0, wrap: bool = False, bias: bool = True
) -> Conv:
    """A convolution that keeps the variance of its input, times gain squared."""
    layer = Conv(in_channels, out_channels, kernel_size, wrap, bias)
    nn.init.normal_(layer.weight, std=gain * (in_channels * kernel_size**2) ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def double(x: torch.Tensor, wrap: bool = False) -> torch.Tensor:
    """Feature maps [N, C, H, W] to [N, C, 2 H, 2 W], bilinear.

    Bilinear maps are smooth, and nonlinearities make sharp edges of them; a transposed convolution would instead leave
    a checkerboard (Odena et al., "Deconvolution and checkerboard artifacts", Distill, 2016).
    """
    if wrap:
        return double(continued(x, 1))[..., 2:-2]
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def continued(x: torch.Tensor, num_columns: int) -> torch.Tensor:
    """Circular padding of columns, [N, C, H, W] to [N, C, H, W + 2 num_columns]."""
    return F.pad(x, (num_columns, num_columns, 0, 0), mode="circular") if num_columns else x
