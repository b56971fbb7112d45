"""Spectral normalisation: every layer of every discriminator stretches by one at most, and its state is kept."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from ganrnn.networks.images.dcgan import DcganDiscriminator
from ganrnn.networks.images.projection_discriminator import ProjectionDiscriminator
from ganrnn.networks.images.residual import ResidualDiscriminator
from ganrnn.networks.images.spectral import normalise_spectrally

every_discriminator = pytest.mark.parametrize(
    "discriminator", [ProjectionDiscriminator, DcganDiscriminator, ResidualDiscriminator]
)


def normalised(discriminator: Callable[..., nn.Module], condition_dim: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    D = discriminator(16, 24, condition_dim, 6, 4)
    for parameter in D.parameters():
        parameter.data.mul_(5)
    normalise_spectrally(D)
    return D


def layers(D: nn.Module) -> list[nn.Module]:
    return [m for m in D.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def read_some(D: nn.Module, num_times: int = 1, condition_dim: int = 3) -> torch.Tensor:
    images = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    condition = torch.randn(2, condition_dim, generator=torch.Generator().manual_seed(2))
    for _ in range(num_times):
        logits = D.logits(D.read(images), condition)
    return logits


@every_discriminator
@pytest.mark.parametrize("condition_dim", [0, 3])
@torch.no_grad()
def test_every_layer_stretches_by_one_at_most(discriminator: Callable[..., nn.Module], condition_dim: int) -> None:
    D = normalised(discriminator, condition_dim)
    read_some(D, 50, condition_dim)
    D.eval()
    for layer in layers(D):
        singular = torch.linalg.svdvals(layer.weight.flatten(1))
        assert singular[0].item() == pytest.approx(1, abs=0.01)


@every_discriminator
@torch.no_grad()
def test_the_value_follows_the_weights_in_training_alone(discriminator: Callable[..., nn.Module]) -> None:
    D = normalised(discriminator)
    read_some(D, 50)
    D.eval()
    for layer in layers(D):
        layer.parametrizations.weight.original.copy_(torch.randn_like(layer.weight))
    before = {name: value.clone() for name, value in D.state_dict().items()}
    read_some(D, 50)
    assert all(torch.equal(value, before[name]) for name, value in D.state_dict().items())
    assert max(torch.linalg.svdvals(layer.weight.flatten(1))[0].item() for layer in layers(D)) > 1.5
    D.train()
    read_some(D, 50)
    D.eval()
    for layer in layers(D):
        assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=0.02)


@every_discriminator
@torch.no_grad()
def test_the_state_holds_the_vectors_of_the_iteration(discriminator: Callable[..., nn.Module]) -> None:
    D, other = normalised(discriminator), normalised(discriminator, seed=1)
    read_some(D, 3)
    vectors = [name for name in D.state_dict() if name.endswith(("._u", "._v"))]
    assert len(vectors) == 2 * len(layers(D))
    other.load_state_dict(D.state_dict())
    # In training mode, so that the next iteration starts where the last one ended.
    assert torch.equal(read_some(other, 2), read_some(D, 2))
    assert torch.equal(read_some(other.eval()), read_some(D.eval()))


@every_discriminator
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_gradients_reach_every_parameter(discriminator: Callable[..., nn.Module], precision: torch.dtype) -> None:
    D = normalised(discriminator)
    with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        logits = read_some(D, 2)
    (logits.float() * torch.tensor([[1.0, -2.0], [3.0, 0.5]])).sum().backward()
    for name, parameter in D.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_layers_of_other_kinds_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 4, 2), nn.Linear(4, 2))
    normalise_spectrally(network)
    assert [hasattr(layer, "parametrizations") for layer in network] == [True, False, False, True]
