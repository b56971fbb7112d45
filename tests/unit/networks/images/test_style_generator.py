"""Both style generators: any allowed size, modulation as published, rows that do not see each other, wrapping."""

import pytest
import torch
from torch.nn import functional as F

from ganrnn.errors import BadInput
from ganrnn.networks.images.palette_generator import STYLE_GENERATORS, PaletteGenerator
from ganrnn.networks.images.style_generator import ModulatedConv, StyleGenerator

both = pytest.mark.parametrize("architecture", STYLE_GENERATORS.values())


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_modulation_equals_the_published_formula(kernel_size: int) -> None:
    """Equations 1 and 3 of "Analyzing and improving the image quality of StyleGAN", a kernel for each sample."""
    torch.manual_seed(0)
    layer = ModulatedConv(6, 5, 7, kernel_size).double()
    layer.bias.data.normal_()
    x, style = torch.randn(4, 6, 9, 8).double(), torch.randn(4, 7).double()
    rows = []
    for row, scale in zip(x, layer.style(style), strict=True):
        modulated = torch.empty_like(layer.weight)
        for o in range(5):
            for i in range(6):
                modulated[o, i] = scale[i] * layer.weight[o, i]
            modulated[o] /= (modulated[o].square().sum() + 1e-8).sqrt()
        rows.append(F.conv2d(row[None], modulated, layer.bias, padding=kernel_size // 2))
    torch.testing.assert_close(layer(x, style), torch.cat(rows), rtol=1e-10, atol=1e-10)


def test_demodulation_keeps_unit_variance() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(32, 16, 8)
    out = layer(torch.randn(16, 32, 16, 16), 5 * torch.randn(16, 8))
    # Borders see zeros, so the inside is measured.
    assert abs(out[:, :, 1:-1, 1:-1].std().item() - 1) < 0.05


@both
@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 36), (32, 64), (64, 64)])
@torch.no_grad()
def test_any_size(architecture: type[StyleGenerator], height: int, width: int) -> None:
    torch.manual_seed(0)
    generator = architecture(height, width, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    images = generator(torch.randn(3, 5), torch.randn(3, 3))
    assert images.shape == (3, 3, height, width) and images.dtype == torch.float32
    assert torch.isfinite(images).all()
    assert (images[0] - images[1]).abs().max() > 1e-3


@both
@pytest.mark.parametrize(("height", "width"), [(18, 16), (16, 12), (8, 8)])
def test_other_sizes_are_refused(architecture: type[StyleGenerator], height: int, width: int) -> None:
    with pytest.raises(BadInput, match="allowed are multiples of 4 from 16 up"):
        architecture(height, width, 5, 3, 8, 4)


@both
@torch.no_grad()
def test_a_row_does_not_depend_on_its_neighbours(architecture: type[StyleGenerator]) -> None:
    torch.manual_seed(0)
    generator = architecture(16, 24, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    z, condition = torch.randn(6, 5), torch.randn(6, 3)
    images = generator(z, condition)
    others = generator(torch.cat([z[:1], torch.randn(5, 5)]), torch.cat([condition[:1], torch.randn(5, 3)]))
    assert torch.equal(others[0], images[0])
    torch.testing.assert_close(generator(z[4:], condition[4:]), images[4:], rtol=0, atol=1e-5)


@both
@torch.no_grad()
def test_noise_and_condition_both_count(architecture: type[StyleGenerator]) -> None:
    torch.manual_seed(0)
    generator = architecture(16, 16, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    z, condition = torch.randn(1, 5), torch.randn(1, 3)
    images = generator(z, condition)
    assert (generator(-z, condition) - images).abs().max() > 1e-3
    assert (generator(z, -condition) - images).abs().max() > 1e-3


@torch.no_grad()
def test_flat_features_give_a_flat_picture() -> None:
    """Whatever the weights: a layer that fills in each pixel of a patch by itself would leave a checkerboard here."""
    torch.manual_seed(0)
    generator = StyleGenerator(16, 24, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    for parameter in generator.parameters():
        parameter.normal_()
    flat = torch.randn(2, 4, 1, 1).expand(2, 4, 8, 12)
    generator.second[-1].register_forward_hook(lambda *_: flat)
    inside = generator(torch.randn(2, 5), torch.randn(2, 3))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(inside, inside[:, :, :1, :1].expand_as(inside))


@both
@pytest.mark.parametrize("wrap", [False, True])
@torch.no_grad()
def test_without_a_condition(architecture: type[StyleGenerator], wrap: bool) -> None:
    torch.manual_seed(0)
    generator = architecture(24, 40, z_dim=5, condition_dim=0, style_dim=8, base_channels=4, wrap=wrap)
    images = generator(torch.randn(3, 5), torch.randn(3, 0))
    assert images.shape == (3, 3, 24, 40) and torch.isfinite(images).all()
    assert (images[0] - images[1]).abs().max() > 1e-3


@torch.no_grad()
def test_modulation_of_maps_that_wrap() -> None:
    """The middle of three maps side by side, of which each continues in the next."""
    torch.manual_seed(0)
    flat, wrapped = ModulatedConv(6, 5, 7), ModulatedConv(6, 5, 7, wrap=True)
    wrapped.load_state_dict(flat.state_dict())
    x, style = torch.randn(4, 6, 9, 8), torch.randn(4, 7)
    side_by_side = flat(torch.cat([x, x, x], dim=3), style)
    torch.testing.assert_close(wrapped(x, style), side_by_side[..., 8:16], rtol=1e-5, atol=1e-5)


@both
@torch.no_grad()
def test_a_picture_that_wraps_has_no_seam(architecture: type[StyleGenerator]) -> None:
    """Rolling the smallest maps rolls the picture."""
    for wrap in (True, False):
        torch.manual_seed(0)
        generator = architecture(24, 40, z_dim=5, condition_dim=3, style_dim=8, base_channels=4, wrap=wrap)
        z, condition = torch.randn(2, 5), torch.randn(2, 3)
        images = generator(z, condition)
        generator.ground.register_forward_hook(lambda _, __, out: out.view(2, 8, 6, 10).roll(3, 3).flatten(1))
        error = (generator(z, condition) - images.roll(3 * 4, 3)).abs().max()
        assert error < 1e-4 if wrap else error > 0.01


@both
@torch.no_grad()
def test_pictures_that_wrap_begin_anywhere(architecture: type[StyleGenerator]) -> None:
    """Noise that differs in its first element alone, which no style sees here, turns the picture and nothing else."""
    torch.manual_seed(0)
    generator = architecture(16, 32, z_dim=5, condition_dim=3, style_dim=8, base_channels=4, wrap=True)
    generator.style[0].weight[:, 0] = 0
    z, condition = torch.randn(1, 5).repeat(64, 1), torch.randn(1, 3).repeat(64, 1)
    z[:, 0] = torch.special.ndtri((torch.arange(64) + 0.5) / 64)
    images = generator(z, condition)
    counts = [0] * 8
    for image in images:
        errors = [float((image - images[0].roll(4 * turn, 2)).abs().max()) for turn in range(8)]
        assert min(errors) < 1e-4
        counts[errors.index(min(errors))] += 1
    assert counts == [8] * 8


@torch.no_grad()
def test_patches_begin_without_a_checkerboard() -> None:
    """Flat features give a flat picture, although each pixel of a patch has weights of its own."""
    torch.manual_seed(0)
    generator = PaletteGenerator(16, 24, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    flat = torch.randn(2, 4, 1, 1).expand(2, 4, 8, 12)
    generator.second[-1].register_forward_hook(lambda *_: flat)
    inside = generator(torch.randn(2, 5), torch.randn(2, 3))[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(inside, inside[:, :, :1, :1].expand_as(inside))


@torch.no_grad()
def test_a_pixel_is_mixed_from_its_own_colour_and_the_palette_of_the_style() -> None:
    torch.manual_seed(0)
    generator = PaletteGenerator(16, 24, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    mixtures: list[torch.Tensor] = []
    generator.to_mixture.register_forward_hook(lambda _, __, output: mixtures.append(output))
    z, condition = torch.randn(2, 5), torch.randn(2, 3)
    images = generator(z, condition)
    palette = generator.palette(generator._style_of(z, condition)).view(2, 7, 3)
    y, x = 11, 6  # in the patch of row 5 and column 3, of whose four pixels it is the third
    for row in range(2):
        values = mixtures[0][row, 2::4, 5, 3]
        shares = torch.softmax(values[3:], 0)
        expected = shares[0] * values[:3] + sum(shares[1 + k] * palette[row, k] for k in range(7))
        torch.testing.assert_close(images[row, :, y, x], expected)


@torch.no_grad()
def test_a_condition_weighs_the_same_at_any_scale() -> None:
    torch.manual_seed(0)
    generator = PaletteGenerator(16, 24, z_dim=5, condition_dim=3, style_dim=8, base_channels=4)
    z, condition = torch.randn(2, 5), torch.randn(2, 3)
    torch.testing.assert_close(generator(z, condition), generator(z, 100 * condition), rtol=1e-4, atol=1e-4)
