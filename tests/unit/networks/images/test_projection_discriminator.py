"""The discriminator: any allowed size, one logit for each picture and condition, rows that do not see each other."""

import pytest
import torch
from torch.nn import functional as F

from ganrnn.errors import BadInput
from ganrnn.networks.images.projection_discriminator import DownBlock, ProjectionDiscriminator


def discriminator_of(height: int = 16, width: int = 16) -> ProjectionDiscriminator:
    torch.manual_seed(0)
    return ProjectionDiscriminator(height, width, condition_dim=3, feature_dim=6, base_channels=4)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 36), (32, 64), (64, 64)])
@torch.no_grad()
def test_any_size(height: int, width: int) -> None:
    D = discriminator_of(height, width)
    features = D.read(torch.randn(5, 3, height, width))
    logits = D.logits(features, torch.randn(4, 3))
    assert features.shape == (5, 6) and logits.shape == (5, 4)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("height", "width"), [(18, 16), (16, 12), (8, 8)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    with pytest.raises(BadInput, match="allowed are multiples of 4 from 16 up"):
        discriminator_of(height, width)


@torch.no_grad()
def test_the_matrix_holds_the_logit_of_every_pair() -> None:
    """Each pair by itself after equation 3 of "cGANs with projection discriminator", scaled by the feature size."""
    D = discriminator_of()
    images, conditions = torch.randn(4, 3, 16, 16), torch.randn(4, 3)
    features = D.read(images)
    matrix = D.logits(features, conditions)
    for i in range(4):
        for j in range(4):
            agreement = torch.dot(D.project(conditions[j]), features[i]) / 6**0.5
            torch.testing.assert_close(matrix[i, j], D.realism(features[i])[0] + agreement)
    pairs = [D.logits(D.read(images[i : i + 1]), conditions[i : i + 1])[0, 0] for i in range(4)]
    torch.testing.assert_close(matrix.diagonal(), torch.stack(pairs), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_neighbours() -> None:
    D = discriminator_of()
    images = torch.randn(6, 3, 16, 16)
    features = D.read(images)
    assert torch.equal(D.read(torch.cat([images[:1], torch.randn(5, 3, 16, 16)]))[0], features[0])
    torch.testing.assert_close(D.read(images[2:4]), features[2:4], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_block_halves_and_keeps_the_variance() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 16, 16, 16)
    out = DownBlock(16, 32)(x)
    assert out.shape == (32, 32, 8, 8)
    # Averaging four independent values divides the variance by four in both branches.
    assert 0.2 < out[:, :, 1:-1, 1:-1].std().item() < 1
    assert F.avg_pool2d(x, 2).std().item() == pytest.approx(0.5, rel=0.02)


def test_without_conditions_the_logit_is_realism_alone() -> None:
    torch.manual_seed(0)
    D = ProjectionDiscriminator(24, 40, condition_dim=0, feature_dim=6, base_channels=4)
    features = D.read(torch.randn(4, 3, 24, 40))
    logits = D.logits(features, torch.randn(3, 0))
    assert not [name for name in D.state_dict() if name.startswith("project")]
    assert torch.equal(logits, D.realism(features).repeat(1, 3))
    (logits * torch.randn(4, 3)).sum().backward()
    for name, parameter in D.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_a_picture_that_wraps_has_no_seam() -> None:
    """Rolling the picture rolls the smallest maps, a quarter of its size."""
    images = torch.randn(4, 3, 24, 40)
    for wrap in (True, False):
        torch.manual_seed(0)
        D = ProjectionDiscriminator(24, 40, condition_dim=3, feature_dim=6, base_channels=4, wrap=wrap)
        maps = D.maps(images)[-1]
        assert maps.shape == (4, 8, 6, 10)
        error = (D.maps(images.roll(3 * 4, 3))[-1] - maps.roll(3, 3)).abs().max()
        assert error < 1e-4 if wrap else error > 0.01
