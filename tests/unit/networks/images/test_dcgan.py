"""DCGAN's networks: any allowed size, layers as published, batch statistics that are kept, and pictures that wrap."""

import pytest
import torch
from torch import nn

from ganrnn.errors import BadInput
from ganrnn.networks.images.dcgan import DcganDiscriminator, DcganGenerator

every_size = pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 40), (32, 64)])
every_condition = pytest.mark.parametrize("condition_dim", [0, 3])


def generator_of(height: int = 16, width: int = 16, condition_dim: int = 3, wrap: bool = False) -> DcganGenerator:
    torch.manual_seed(0)
    return DcganGenerator(height, width, z_dim=5, condition_dim=condition_dim, base_channels=4, wrap=wrap)


def discriminator_of(
    height: int = 16, width: int = 16, condition_dim: int = 3, wrap: bool = False
) -> DcganDiscriminator:
    torch.manual_seed(0)
    return DcganDiscriminator(height, width, condition_dim, feature_dim=6, base_channels=4, wrap=wrap)


def with_spread_weights(network: nn.Module) -> nn.Module:
    """As after training: weights of 0.02 leave hardly any signal in networks as narrow as these."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


@every_size
@every_condition
@pytest.mark.parametrize("wrap", [False, True])
@torch.no_grad()
def test_any_size_and_condition(height: int, width: int, condition_dim: int, wrap: bool) -> None:
    images = generator_of(height, width, condition_dim, wrap)(torch.randn(3, 5), torch.randn(3, condition_dim))
    assert images.shape == (3, 3, height, width) and images.dtype == torch.float32
    assert images.abs().max() <= 1 and (images[0] - images[1]).abs().max() > 1e-4
    D = discriminator_of(height, width, condition_dim, wrap)
    features = D.read(images)
    logits = D.logits(features, torch.randn(4, condition_dim))
    assert features.shape == (3, 6) and logits.shape == (3, 4)
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_pictures_leave_through_a_tanh() -> None:
    G = with_spread_weights(generator_of())
    raw: list[torch.Tensor] = []
    G.to_rgb.register_forward_hook(lambda _, __, out: raw.append(out))
    images = G(torch.randn(3, 5), torch.randn(3, 3))
    assert raw[0].abs().max() > 1.5 and torch.equal(images, raw[0].tanh())


@pytest.mark.parametrize(("height", "width"), [(18, 16), (16, 12), (8, 8)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    for network_of in (generator_of, discriminator_of):
        with pytest.raises(BadInput, match="allowed are multiples of 4 from 16 up"):
            network_of(height, width)


def test_layers_of_the_paper() -> None:
    """Figure 1 of the paper, with an eighth of the channels of the usual code: 4 x 4 x 64 up to 64 x 64 x 3."""
    generator = DcganGenerator(64, 64, 100, 0, base_channels=8)
    kernels = [tuple(m.weight.shape) for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert generator.ground.weight.shape == (64 * 4 * 4, 100)
    assert kernels == [(64, 32, 4, 4), (32, 16, 4, 4), (16, 8, 4, 4), (8, 3, 4, 4)]
    D = DcganDiscriminator(64, 64, 0, 6, base_channels=8)
    kernels = [tuple(m.weight.shape) for m in D.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(8, 3, 4, 4), (16, 8, 4, 4), (32, 16, 4, 4), (64, 32, 4, 4)]
    # All but the layer that makes the picture and the one that reads it.
    assert [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)] == [64, 32, 16, 8]
    assert [m.num_features for m in D.modules() if isinstance(m, nn.BatchNorm2d)] == [16, 32, 64]


def test_initial_weights_of_the_paper() -> None:
    for network in (DcganGenerator(32, 32, 16, 4, 32), DcganDiscriminator(32, 32, 4, 16, 32)):
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any(), name
            else:
                is_gain = parameter.dim() == 1
                # Four standard errors of a mean and of a standard deviation.
                error = 4 * 0.02 / parameter.numel() ** 0.5
                assert parameter.mean().item() == pytest.approx(float(is_gain), abs=error), name
                assert parameter.std().item() == pytest.approx(0.02, abs=error), name


@torch.no_grad()
def test_without_conditions_the_logit_is_realism_alone() -> None:
    D = discriminator_of(condition_dim=0)
    features = D.read(torch.randn(4, 3, 16, 16))
    assert not [name for name in D.state_dict() if name.startswith("project")]
    assert torch.equal(D.logits(features, torch.randn(3, 0)), D.realism(features).repeat(1, 3))


@torch.no_grad()
def test_features_are_linear_in_the_last_maps() -> None:
    D = discriminator_of()
    images = torch.randn(4, 3, 16, 16)
    maps = D.trunk(images)
    assert maps.shape == (4, 8, 4, 4)
    torch.testing.assert_close(D.read(images), maps.flatten(1) @ D.features.weight.T + D.features.bias)


@torch.no_grad()
def test_in_eval_mode_a_row_does_not_depend_on_its_neighbours() -> None:
    z, condition, images = torch.randn(6, 5), torch.randn(6, 3), torch.randn(6, 3, 16, 16)
    G, D = with_spread_weights(generator_of()), with_spread_weights(discriminator_of())

    def outputs(others: float) -> tuple[torch.Tensor, torch.Tensor]:
        rows = (torch.cat([x[:1], others * x[1:]]) for x in (z, condition, images))
        z_, condition_, images_ = rows
        return G(z_, condition_)[0], D.read(images_)[0]

    in_training = zip(outputs(1.0), outputs(-2.0), strict=True)
    assert all((a - b).abs().max() > 1e-3 for a, b in in_training)
    G.eval()
    D.eval()
    assert all(torch.equal(a, b) for a, b in zip(outputs(1.0), outputs(-2.0), strict=True))


@torch.no_grad()
def test_running_statistics_are_kept_in_the_state() -> None:
    G, D = generator_of(), discriminator_of()
    z, condition, images = torch.randn(8, 5), torch.randn(8, 3), torch.randn(8, 3, 16, 16)
    x = G.ground(torch.cat([z, condition], 1)).view(8, 8, 4, 4)
    G(z, condition)
    torch.testing.assert_close(G.state_dict()["norm.running_mean"], 0.1 * x.mean((0, 2, 3)))
    torch.testing.assert_close(G.state_dict()["norm.running_var"], 0.9 + 0.1 * x.transpose(0, 1).flatten(1).var(1))
    D.read(images)
    assert D.state_dict()["blocks.0.1.num_batches_tracked"] == 1
    other_G, other_D = generator_of().eval(), discriminator_of().eval()
    other_G.load_state_dict(G.state_dict())
    other_D.load_state_dict(D.state_dict())
    assert torch.equal(other_G(z, condition), G.eval()(z, condition))
    assert torch.equal(other_D.read(images), D.eval().read(images))


@every_condition
@pytest.mark.parametrize("wrap", [False, True])
def test_gradients_reach_every_parameter(condition_dim: int, wrap: bool) -> None:
    G, D = generator_of(16, 24, condition_dim, wrap), discriminator_of(16, 24, condition_dim, wrap)
    condition = torch.randn(4, condition_dim)
    logits = D.logits(D.read(G(torch.randn(4, 5), condition)), condition)
    (logits * torch.randn(4, 4)).sum().backward()
    for name, parameter in [*G.named_parameters(), *D.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_a_picture_that_wraps_has_no_seam() -> None:
    """Rolling the smallest maps of the generator rolls its picture, and the picture of the discriminator its maps."""
    for wrap in (True, False):
        G = with_spread_weights(generator_of(24, 40, wrap=wrap))
        D = with_spread_weights(discriminator_of(24, 40, wrap=wrap))
        z, condition = torch.randn(4, 5), torch.randn(4, 3)
        images = G(z, condition)
        maps = D.trunk(images)
        assert maps.shape == (4, 8, 6, 10)
        G.ground.register_forward_hook(lambda _, __, out: out.view(4, 8, 6, 10).roll(3, 3).flatten(1))
        error_G = (G(z, condition) - images.roll(3 * 4, 3)).abs().max()
        error_D = (D.trunk(images.roll(3 * 4, 3)) - maps.roll(3, 3)).abs().max()
        assert max(error_G, error_D) < 1e-4 if wrap else min(error_G, error_D) > 0.01
