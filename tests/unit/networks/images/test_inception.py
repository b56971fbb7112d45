"""Inception as the reference scores use it: the published numbers, and its graph written out with plain operations."""

import pytest
import torch
from torch.nn import functional as F

from ganrnn.metrics.extractors.inception import NUM_BYTES
from ganrnn.networks.images import inception
from ganrnn.networks.images.inception import BLOCKS, Inception, shapes
from tests.unit.inception_weights import random_weights

Weights = dict[str, torch.Tensor]


def layer(w: Weights, name: str, x: torch.Tensor, padding: int | tuple[int, int] = 0, stride: int = 1) -> torch.Tensor:
    x = F.conv2d(x, w[f"{name}.conv.weight"], stride=stride, padding=padding)
    statistics = [w[f"{name}.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
    return F.relu(F.batch_norm(x, *statistics, eps=0.001))


def chain(w: Weights, block: str, x: torch.Tensor, *steps: tuple[str, int | tuple[int, int]]) -> torch.Tensor:
    for name, padding in steps:
        x = layer(w, f"{block}.{name}", x, padding)
    return x


def average(x: torch.Tensor) -> torch.Tensor:
    """Mean of the up to nine pixels of a 3 x 3 window that are there."""
    ones = torch.ones_like(x[:1, :1])
    kernel = torch.ones(1, 1, 3, 3)
    sums = F.conv2d(x.flatten(0, 1)[:, None], kernel, padding=1).view_as(x)
    return sums / F.conv2d(ones, kernel, padding=1)


def block_a(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    five = chain(w, name, x, ("branch5x5_1", 0), ("branch5x5_2", 2))
    double = chain(w, name, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1), ("branch3x3dbl_3", 1))
    pooled = chain(w, name, average(x), ("branch_pool", 0))
    return torch.cat([chain(w, name, x, ("branch1x1", 0)), five, double, pooled], 1)


def block_b(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    double = chain(w, name, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
    double = layer(w, f"{name}.branch3x3dbl_3", double, stride=2)
    return torch.cat([layer(w, f"{name}.branch3x3", x, stride=2), double, F.max_pool2d(x, 3, 2)], 1)


def block_c(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    across, down = (0, 3), (3, 0)
    single = chain(w, name, x, ("branch7x7_1", 0), ("branch7x7_2", across), ("branch7x7_3", down))
    steps = [(f"branch7x7dbl_{i}", padding) for i, padding in enumerate((0, down, across, down, across), 1)]
    pooled = chain(w, name, average(x), ("branch_pool", 0))
    return torch.cat([chain(w, name, x, ("branch1x1", 0)), single, chain(w, name, x, *steps), pooled], 1)


def block_d(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    three = layer(w, f"{name}.branch3x3_2", chain(w, name, x, ("branch3x3_1", 0)), stride=2)
    seven = chain(w, name, x, ("branch7x7x3_1", 0), ("branch7x7x3_2", (0, 3)), ("branch7x7x3_3", (3, 0)))
    seven = layer(w, f"{name}.branch7x7x3_4", seven, stride=2)
    return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


def block_e(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    three = chain(w, name, x, ("branch3x3_1", 0))
    double = chain(w, name, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
    ends = [
        layer(w, f"{name}.{branch}{end}", part, padding)
        for branch, part in (("branch3x3_2", three), ("branch3x3dbl_3", double))
        for end, padding in (("a", (0, 1)), ("b", (1, 0)))
    ]
    pooled = average(x) if name == "Mixed_7b" else F.max_pool2d(x, 3, 1, 1)
    return torch.cat([chain(w, name, x, ("branch1x1", 0)), *ends, chain(w, name, pooled, ("branch_pool", 0))], 1)


def stem(w: Weights, x: torch.Tensor) -> torch.Tensor:
    x = layer(w, "Conv2d_2a_3x3", layer(w, "Conv2d_1a_3x3", x, stride=2))
    x = F.max_pool2d(layer(w, "Conv2d_2b_3x3", x, 1), 3, 2)
    return F.max_pool2d(layer(w, "Conv2d_4a_3x3", layer(w, "Conv2d_3b_1x1", x)), 3, 2)


def block(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    kinds = {"5b": block_a, "5c": block_a, "5d": block_a, "6a": block_b, "7a": block_d, "7b": block_e, "7c": block_e}
    return kinds.get(name.removeprefix("Mixed_"), block_c)(w, name, x)


def test_has_the_weights_of_the_published_file() -> None:
    tensor_shapes = shapes()
    layers = [key for key in tensor_shapes if key.endswith("conv.weight")]
    # The file holds a counter for each normalisation besides: 566 entries.
    assert len(layers) == 94 and len(tensor_shapes) + len(layers) == 566
    # Besides the numbers, the file holds little.
    assert 0 < NUM_BYTES - 4 * sum(torch.Size(shape).numel() for shape in tensor_shapes.values()) < 100_000
    assert tensor_shapes["Mixed_6c.branch7x7dbl_2.conv.weight"] == (160, 160, 7, 1)
    assert tensor_shapes["Mixed_7c.branch3x3dbl_3b.bn.running_var"] == (384,)


@torch.no_grad()
def test_every_block_equals_its_graph_written_out() -> None:
    """On small maps, with noise of its own for each block."""
    weights = random_weights()
    network, generator, size, channels = Inception(weights), torch.Generator().manual_seed(1), 9, 192
    for name, module in zip(BLOCKS, network.blocks, strict=True):
        x = torch.rand(1, channels, size, size, generator=generator)
        expected = block(weights, name, x)
        torch.testing.assert_close(module(x.contiguous(memory_format=torch.channels_last)), expected, rtol=0, atol=2e-4)
        channels = expected.shape[1]
        size = {"Mixed_5d": 9, "Mixed_6a": 7, "Mixed_6e": 7, "Mixed_7a": 5}.get(name, size)
    assert channels == 2048


@torch.no_grad()
def test_whole_network_equals_its_graph_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pictures in more pieces than one through the stem."""
    monkeypatch.setattr(inception, "STEM_PICTURES", 1)
    weights, count = random_weights(), 2
    x = 2 * torch.rand(count, 3, 299, 299, generator=torch.Generator().manual_seed(2)) - 1
    network = Inception(weights)
    assert not list(network.parameters())
    features, logits = network(x)
    y = stem(weights, x)
    assert y.shape == (count, 192, 35, 35)
    for name in BLOCKS:
        y = block(weights, name, y)
    assert y.shape == (count, 2048, 8, 8)
    expected = y.mean((2, 3))
    # Little of it is hidden by the ReLUs, nothing explodes.
    assert 1 < expected.mean() < 20 and (expected > 0).float().mean() > 0.8
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(logits, expected @ weights["fc.weight"].T, rtol=0, atol=1e-4)
