"""Residual networks: any allowed size, conditional normalisation as published, a discriminator that has none."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.errors import BadInput
from ganrnn.networks.images.convolution import double
from ganrnn.networks.images.residual import (
    ConditionalBatchNorm,
    DownBlock,
    ResidualDiscriminator,
    ResidualGenerator,
    UpBlock,
)

every_size = pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 40), (32, 64)])
every_condition = pytest.mark.parametrize("condition_dim", [0, 3])


def generator_of(height: int = 16, width: int = 16, condition_dim: int = 3, wrap: bool = False) -> ResidualGenerator:
    torch.manual_seed(0)
    return ResidualGenerator(height, width, z_dim=5, condition_dim=condition_dim, base_channels=4, wrap=wrap)


def discriminator_of(
    height: int = 16, width: int = 16, condition_dim: int = 3, wrap: bool = False
) -> ResidualDiscriminator:
    torch.manual_seed(0)
    return ResidualDiscriminator(height, width, condition_dim, feature_dim=6, base_channels=4, wrap=wrap)


@every_size
@every_condition
@pytest.mark.parametrize("wrap", [False, True])
@torch.no_grad()
def test_any_size_and_condition(height: int, width: int, condition_dim: int, wrap: bool) -> None:
    images = generator_of(height, width, condition_dim, wrap)(torch.randn(3, 5), torch.randn(3, condition_dim))
    assert images.shape == (3, 3, height, width) and images.dtype == torch.float32
    assert images.abs().max() <= 1 and (images[0] - images[1]).abs().max() > 1e-3
    D = discriminator_of(height, width, condition_dim, wrap)
    features = D.read(images)
    logits = D.logits(features, torch.randn(4, condition_dim))
    assert features.shape == (3, 6) and logits.shape == (3, 4)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("height", "width"), [(18, 16), (16, 12), (8, 8)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    for network_of in (generator_of, discriminator_of):
        with pytest.raises(BadInput, match="allowed are multiples of 4 from 16 up"):
            network_of(height, width)


def test_maps_of_full_size_have_half_the_channels() -> None:
    for base_channels, half in ((8, 4), (5, 3), (1, 1)):
        generator = ResidualGenerator(32, 32, 5, 0, base_channels)
        D = ResidualDiscriminator(32, 32, 0, 6, base_channels)
        assert generator.to_rgb.weight.shape == (3, half, 3, 3)
        assert D.first.first.weight.shape == (half, 3, 3, 3)
        assert D.first.second.weight.shape == (base_channels, half, 3, 3)


@torch.no_grad()
def test_conditional_normalisation_equals_torchs_with_gains_and_offsets_of_each_row() -> None:
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(4, 7)
    x, style = 3 + 2 * torch.randn(5, 4, 6, 8), torch.randn(5, 7)
    out = layer(x, style)
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * x.mean((0, 2, 3)))
    for i in range(5):
        gain = 1 + layer.gain.weight @ style[i] + layer.gain.bias
        offset = layer.offset.weight @ style[i] + layer.offset.bias
        expected = F.batch_norm(x, None, None, gain, offset, training=True)[i]
        torch.testing.assert_close(out[i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrap", [False, True])
@torch.no_grad()
def test_up_block_is_the_sum_of_its_branches(wrap: bool) -> None:
    """With the skip convolved after the doubling, as in the paper."""
    torch.manual_seed(0)
    block = UpBlock(4, 6, 7, wrap)
    x, style = torch.randn(5, 4, 6, 8), torch.randn(5, 7)
    y = block.first(double(F.relu(block.first_norm(x, style)), wrap))
    y = block.second(F.relu(block.second_norm(y, style)))
    expected = y + block.skip(double(x, wrap))
    assert expected.shape == (5, 6, 12, 16)
    torch.testing.assert_close(block(x, style), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_down_block_is_the_sum_of_its_branches() -> None:
    """With the skip convolved before the halving, as in the paper; the first block takes the picture as it is."""
    torch.manual_seed(0)
    block, kept = DownBlock(4, 5, 6), DownBlock(4, 5, 6, halve=False)
    x = torch.randn(3, 4, 8, 12)
    for is_picture, entering in ((False, F.relu(x)), (True, x)):
        expected = F.avg_pool2d(block.second(F.relu(block.first(entering))) + block.skip(x), 2)
        torch.testing.assert_close(block(x, is_picture), expected, rtol=1e-5, atol=1e-5)
    expected = kept.second(F.relu(kept.first(F.relu(x)))) + kept.skip(x)
    assert expected.shape == (3, 6, 8, 12)
    torch.testing.assert_close(kept(x), expected)


@torch.no_grad()
def test_the_first_block_reads_the_dark_half_of_the_picture_too() -> None:
    D, images = discriminator_of(), torch.randn(4, 3, 16, 16)
    read: list[torch.Tensor] = []
    D.first.first.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    D.read(images)
    assert torch.equal(read[0], images)


@torch.no_grad()
def test_down_block_keeps_the_variance_at_first() -> None:
    torch.manual_seed(0)
    out = DownBlock(32, 32, 32, halve=False)(torch.randn(32, 32, 16, 16))
    # Borders see zeros, so the inside is measured.
    assert out[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1, abs=0.05)


@torch.no_grad()
def test_features_are_sums_over_a_map_of_4_by_4() -> None:
    images = torch.randn(4, 3, 16, 16)
    D = discriminator_of()
    torch.testing.assert_close(D.read(images), D.trunk(images).sum((2, 3)))
    # A map of another size does not count more: the same picture twice has the features of one.
    D, larger = discriminator_of(wrap=True), discriminator_of(16, 32, wrap=True)
    torch.testing.assert_close(larger.read(torch.cat([images, images], dim=3)), D.read(images))


@torch.no_grad()
def test_without_conditions_the_logit_is_realism_alone() -> None:
    D = discriminator_of(condition_dim=0)
    features = D.read(torch.randn(4, 3, 16, 16))
    assert not [name for name in D.state_dict() if name.startswith("project")]
    assert torch.equal(D.logits(features, torch.randn(3, 0)), D.realism(features).repeat(1, 3))


@torch.no_grad()
def test_the_generator_sees_its_neighbours_in_training_alone() -> None:
    G = generator_of()
    z, condition = torch.randn(6, 5), torch.randn(6, 3)
    others = torch.cat([z[:1], -2 * z[1:]]), torch.cat([condition[:1], -2 * condition[1:]])
    assert (G(*others)[0] - G(z, condition)[0]).abs().max() > 1e-3
    G.eval()
    assert torch.equal(G(*others)[0], G(z, condition)[0])


@torch.no_grad()
def test_running_statistics_are_kept_in_the_state() -> None:
    G = generator_of()
    z, condition = torch.randn(8, 5), torch.randn(8, 3)
    x = G.ground(torch.cat([z, condition], 1)).view(8, 8, 4, 4)
    G(z, condition)
    state = G.state_dict()
    torch.testing.assert_close(state["blocks.0.first_norm.norm.running_mean"], 0.1 * x.mean((0, 2, 3)))
    assert [state[f"{name}num_batches_tracked"] for name in ("norm.", "blocks.1.second_norm.norm.")] == [1, 1]
    other = generator_of().eval()
    other.load_state_dict(state)
    assert torch.equal(other(z, condition), G.eval()(z, condition))


def test_the_discriminator_has_a_slope_of_each_picture_by_itself() -> None:
    """What gradient penalties need: in training mode too a logit depends on its own picture, and differentiably so."""
    D = discriminator_of()
    assert not [m for m in D.modules() if isinstance(m, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm)]
    images, condition = torch.randn(4, 3, 16, 16).requires_grad_(), torch.randn(4, 3)
    logits = D.logits(D.read(images), condition)
    (slopes,) = torch.autograd.grad(logits.diagonal().sum(), images, create_graph=True)
    for i in range(4):
        alone = images[i : i + 1].detach().requires_grad_()
        (slope,) = torch.autograd.grad(D.logits(D.read(alone), condition[i : i + 1]).sum(), alone)
        torch.testing.assert_close(slopes[i : i + 1], slope, rtol=1e-4, atol=1e-5)
    slopes.square().sum().backward()
    for name, parameter in D.named_parameters():
        if not name.endswith("bias"):
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@every_condition
@pytest.mark.parametrize("wrap", [False, True])
def test_gradients_reach_every_parameter(condition_dim: int, wrap: bool) -> None:
    G, D = generator_of(16, 24, condition_dim, wrap), discriminator_of(16, 24, condition_dim, wrap)
    condition = torch.randn(4, condition_dim)
    logits = D.logits(D.read(G(torch.randn(4, 5), condition)), condition)
    (logits * torch.randn(4, 4)).sum().backward()
    for name, parameter in [*G.named_parameters(), *D.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-4, name


@torch.no_grad()
def test_a_picture_that_wraps_has_no_seam() -> None:
    """Rolling the smallest maps of the generator rolls its picture, and the picture of the discriminator its maps.

    The discriminator's features are then the same: it cannot know where the seam is.
    """
    for wrap in (True, False):
        G, D = generator_of(24, 40, wrap=wrap), discriminator_of(24, 40, wrap=wrap)
        z, condition = torch.randn(4, 5), torch.randn(4, 3)
        images = G(z, condition)
        maps, features = D.trunk(images), D.read(images)
        assert maps.shape == (4, 6, 6, 10)
        G.ground.register_forward_hook(lambda _, __, out: out.view(4, 8, 6, 10).roll(3, 3).flatten(1))
        rolled = images.roll(3 * 4, 3)
        errors = [G(z, condition) - rolled, D.trunk(rolled) - maps.roll(3, 3), D.read(rolled) - features]
        largest = [error.abs().max() for error in errors]
        assert max(largest) < 1e-4 if wrap else min(largest) > 0.01
