"""Inception-v3 of the reference scores, the graph of 5 December 2015: pictures to 2048 features and 1008 logits.

Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision". The published graph differs from the
paper, and FID, KID and Inception Score are defined by the graph: its average pools leave the border out of the mean,
the last block has a maximum pool where the one before has an average, and a network trained on 1,000 classes has 1,008
logits. It is for inference only: batch normalisation is folded into the convolutions, and the weights are constants.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

NUM_FEATURES, NUM_LOGITS = 2048, 1008
SIZE = 299  # height and width of the pictures
# Pictures per pass of the stem, whose activations are four times as large as those of any block: 21 MiB a layer.
STEM_PICTURES = 4
_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class Layer:
    """A convolution, its batch normalisation and a ReLU. With stride 1 the size stays the same unless `valid`."""

    name: str
    out_channels: int
    kernel: tuple[int, int]
    stride: int = 1
    valid: bool = False

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros on each side."""
        return (0, 0) if self.valid else (self.kernel[0] // 2, self.kernel[1] // 2)


@dataclass(frozen=True)
class Branch:
    """One branch of a block: a pool, layers one after the other, then the layers of `ends` in parallel."""

    layers: tuple[Layer, ...] = ()
    pool: str = ""  # "average" or "maximum" of 3 x 3, or "halving" for a maximum with stride 2
    ends: tuple[Layer, ...] = ()


def _layer(name: str, out_channels: int, height: int, width: int) -> Layer:
    return Layer(name, out_channels, (height, width))


def _halving(name: str, out_channels: int) -> Layer:
    return Layer(name, out_channels, (3, 3), stride=2, valid=True)


def _block_a(pool_channels: int) -> tuple[Branch, ...]:
    double = _layer("branch3x3dbl_1", 64, 1, 1), _layer("branch3x3dbl_2", 96, 3, 3), _layer("branch3x3dbl_3", 96, 3, 3)
    return (
        Branch((_layer("branch1x1", 64, 1, 1),)),
        Branch((_layer("branch5x5_1", 48, 1, 1), _layer("branch5x5_2", 64, 5, 5))),
        Branch(double),
        Branch((_layer("branch_pool", pool_channels, 1, 1),), pool="average"),
    )


def _block_b() -> tuple[Branch, ...]:
    double = _layer("branch3x3dbl_1", 64, 1, 1), _layer("branch3x3dbl_2", 96, 3, 3), _halving("branch3x3dbl_3", 96)
    return Branch((_halving("branch3x3", 384),)), Branch(double), Branch(pool="halving")


def _block_c(inner: int) -> tuple[Branch, ...]:
    single = ((inner, 1, 1), (inner, 1, 7), (192, 7, 1))
    double = ((inner, 1, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7))
    return (
        Branch((_layer("branch1x1", 192, 1, 1),)),
        Branch(tuple(_layer(f"branch7x7_{i}", *shape) for i, shape in enumerate(single, 1))),
        Branch(tuple(_layer(f"branch7x7dbl_{i}", *shape) for i, shape in enumerate(double, 1))),
        Branch((_layer("branch_pool", 192, 1, 1),), pool="average"),
    )


def _block_d() -> tuple[Branch, ...]:
    shapes = ((192, 1, 1), (192, 1, 7), (192, 7, 1))
    seven = tuple(_layer(f"branch7x7x3_{i}", *shape) for i, shape in enumerate(shapes, 1))
    return (
        Branch((_layer("branch3x3_1", 192, 1, 1), _halving("branch3x3_2", 320))),
        Branch((*seven, _halving("branch7x7x3_4", 192))),
        Branch(pool="halving"),
    )


def _block_e(pool: str) -> tuple[Branch, ...]:
    ends, double_ends = (
        (_layer(f"{name}a", 384, 1, 3), _layer(f"{name}b", 384, 3, 1)) for name in ("branch3x3_2", "branch3x3dbl_3")
    )
    return (
        Branch((_layer("branch1x1", 320, 1, 1),)),
        Branch((_layer("branch3x3_1", 384, 1, 1),), ends=ends),
        Branch((_layer("branch3x3dbl_1", 448, 1, 1), _layer("branch3x3dbl_2", 384, 3, 3)), ends=double_ends),
        Branch((_layer("branch_pool", 192, 1, 1),), pool=pool),
    )


STEM = (
    Layer("Conv2d_1a_3x3", 32, (3, 3), stride=2, valid=True),
    Layer("Conv2d_2a_3x3", 32, (3, 3), valid=True),
    Layer("Conv2d_2b_3x3", 64, (3, 3)),
    Layer("Conv2d_3b_1x1", 80, (1, 1)),
    Layer("Conv2d_4a_3x3", 192, (3, 3), valid=True),
)
_HALVED_AFTER = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")  # by a maximum over 3 x 3 with stride 2
# Name of a block, as the keys of the weights have it -> its branches, whose outputs are stacked in this order.
BLOCKS: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": _block_b(),
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": _block_d(),
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("maximum"),
}


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors that `Inception` needs by key, and their shapes."""
    tensor_shapes: dict[str, tuple[int, ...]] = {}

    def add(prefix: str, in_channels: int, layers: tuple[Layer, ...]) -> int:
        for layer in layers:
            tensor_shapes[f"{prefix}{layer.name}.conv.weight"] = (layer.out_channels, in_channels, *layer.kernel)
            for name in ("weight", "bias", "running_mean", "running_var"):
                tensor_shapes[f"{prefix}{layer.name}.bn.{name}"] = (layer.out_channels,)
            in_channels = layer.out_channels
        return in_channels

    channels = add("", 3, STEM)
    for block, branches in BLOCKS.items():
        widths = []
        for branch in branches:
            last = add(f"{block}.", channels, branch.layers)
            widths += [add(f"{block}.", last, (end,)) for end in branch.ends] or [last]
        channels = sum(widths)
    return tensor_shapes | {"fc.weight": (NUM_LOGITS, channels), "fc.bias": (NUM_LOGITS,)}


class Inception(nn.Module):
    """The network with given weights, for inference.

    weights: key -> tensor of the shape in `shapes`; other keys are ignored
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.stem = nn.ModuleList(_Convolution(weights, "", layer) for layer in STEM)
        self.blocks = nn.ModuleList(_Block(weights, f"{name}.", branches) for name, branches in BLOCKS.items())
        self.to_logits = nn.Buffer(weights["fc.weight"].float().T.contiguous())

    @torch.inference_mode()
    def forward(
        self,
        x: torch.Tensor,  # [N, 3, 299, 299] float32, (grey level - 128) / 128
    ) -> tuple[torch.Tensor, torch.Tensor]:  # features [N, 2048], logits [N, 1008] without bias, both float32
        x = torch.cat([self._stem_output(part) for part in x.split(STEM_PICTURES)])
        for block in self.blocks:
            x = block(x)
        features = x.mean((2, 3))
        return features, features @ self.to_logits

    def _stem_output(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for layer, convolution in zip(STEM, self.stem, strict=True):
            x = convolution(x)
            # A maximum commutes with a ReLU, which has fewer values to process after it.
            x = F.relu_(_halved(x) if layer.name in _HALVED_AFTER else x)
        return x


class _Convolution(nn.Module):
    """A layer without its ReLU: one convolution, with the batch normalisation folded in."""

    def __init__(self, weights: Mapping[str, torch.Tensor], prefix: str, layer: Layer) -> None:
        super().__init__()
        name = prefix + layer.name
        norm = {key: weights[f"{name}.bn.{key}"].double() for key in ("weight", "bias", "running_mean", "running_var")}
        scale = norm["weight"] / (norm["running_var"] + _NORM_EPSILON).sqrt()
        weight = (weights[f"{name}.conv.weight"].double() * scale[:, None, None, None]).float()
        self.weight = nn.Buffer(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Buffer((norm["bias"] - norm["running_mean"] * scale).float())
        self.stride, self.padding = layer.stride, layer.padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class _Branch(nn.Module):
    def __init__(self, weights: Mapping[str, torch.Tensor], prefix: str, branch: Branch) -> None:
        super().__init__()
        self.pool = branch.pool
        self.layers = nn.ModuleList(_Convolution(weights, prefix, layer) for layer in branch.layers)
        self.ends = nn.ModuleList(_Convolution(weights, prefix, layer) for layer in branch.ends)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pool == "average":
            # A mean commutes with a convolution of 1 x 1, after which there are fewer channels.
            return F.relu_(F.avg_pool2d(self.layers[0](x), 3, 1, 1, count_include_pad=False))
        if self.pool:
            x = _halved(x) if self.pool == "halving" else F.max_pool2d(x, 3, 1, 1)
        for layer in self.layers:
            x = F.relu_(layer(x))
        return torch.cat([F.relu_(end(x)) for end in self.ends], 1) if self.ends else x


class _Block(nn.Module):
    def __init__(self, weights: Mapping[str, torch.Tensor], prefix: str, branches: tuple[Branch, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Branch(weights, prefix, branch) for branch in branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _halved(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, 2)
