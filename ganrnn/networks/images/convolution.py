"""Convolutions and doublings of all networks, on pictures that end at their edges or go once around.

With `wrap` the left edge continues at the right one, as in a panorama: columns are padded circularly, rows with zeros.
Everything here then commutes with rolling the columns, so no network made of it can know where the seam is.
"""

import torch
from torch import nn
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky ReLU
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # keeps the variance through it


class Conv(nn.Conv2d):
    """Convolution by an odd kernel, [N, C, H, W] -> [N, C', H, W]; without `wrap` nn.Conv2d with zeros around."""

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
        # Padding crops here: a column more on each side of the input makes two more of the output, which fall away.
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

    Smooth fields, out of which the nonlinearity after the next layer cuts sharp edges; pixels filled in by weights of
    their own would leave a checkerboard (Odena et al., "Deconvolution and checkerboard artifacts", Distill, 2016).
    """
    if wrap:
        return double(continued(x, 1))[..., 2:-2]
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def continued(x: torch.Tensor, num_columns: int) -> torch.Tensor:
    """[N, C, H, W] to [N, C, H, W + 2 num_columns]: beyond each edge the columns inside the other one."""
    return F.pad(x, (num_columns, num_columns, 0, 0), mode="circular") if num_columns else x
