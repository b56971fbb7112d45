"""Pictures keep every pixel on their way through PNG, tensors and grids."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from ganrnn.data import images
from ganrnn.errors import BadInput


def pixels(height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()


def test_png_round_trip_is_exact() -> None:
    data = images.encode_png(pixels())
    assert data == images.encode_png(pixels().copy())
    assert np.array_equal(np.asarray(images.decode(data)), pixels())
    tensor = images.to_tensor([data, images.encode_png(255 - pixels())])
    assert tensor.shape == (2, 3, 5, 7) and tensor.dtype == torch.uint8 and tensor.is_contiguous()
    assert np.array_equal(tensor[0].permute(1, 2, 0).numpy(), pixels())
    assert torch.equal(tensor[1], 255 - tensor[0])


def test_pictures_of_one_size_are_asked_for() -> None:
    upright, wide = images.encode_png(pixels(7, 5)), images.encode_png(pixels())
    assert images.to_tensor([upright], (7, 5)).shape == (1, 3, 7, 5)
    for data, size in (([upright, wide], None), ([wide], (7, 5))):
        with pytest.raises(BadInput, match=r"^an image has 5 x 7 pixels, not 7 x 5$"):
            images.to_tensor(data, size)
    assert images.to_scaled_tensor([upright, wide], (4, 4)).shape == (2, 3, 4, 4)


def test_every_grey_level_survives_the_float_range() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    floats = images.to_float(levels)
    assert floats[0] == -1 and floats[-1] == 1
    assert torch.equal(images.to_uint8(floats), levels)


@pytest.mark.parametrize(
    ("value", "level"),
    [(-1.0, 0), (1.0, 255), (-1.5, 0), (7.0, 255), (0.0, 128), (-0.997, 0), (-0.995, 1), (0.999, 255)],
)
def test_values_are_rounded_once_and_clipped(value: float, level: int) -> None:
    assert images.to_uint8(torch.tensor([value])).tolist() == [level]


def test_a_grid_shows_each_picture_in_its_cell() -> None:
    pictures = torch.from_numpy(np.stack([pixels(4, 6) // (i + 1) for i in range(5)])).permute(0, 3, 1, 2)
    sheet = images.grid(pictures, num_columns=3, zoom=2)
    assert sheet.shape == (2 * 4 * 2, 3 * 6 * 2, 3) and sheet.dtype == np.uint8
    for i in range(5):
        row, column = divmod(i, 3)
        cell = sheet[row * 8 : row * 8 + 8, column * 12 : column * 12 + 12]
        for y in (0, 1):
            assert np.array_equal(cell[y::2, y::2], pictures[i].permute(1, 2, 0).numpy())
    assert (sheet[8:, 24:] == 255).all()


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    return encoded(Image.fromarray(pixels()), "PNG", exif=exif)


def _transparent() -> bytes:
    return encoded(Image.new("RGBA", (7, 5), (255, 0, 0, 0)))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: encoded(Image.fromarray(pixels()).convert("L")), np.asarray(Image.fromarray(pixels()).convert("L"))),
        (_rotated, np.rot90(pixels(), -1)),
        (_transparent, np.full((5, 7, 3), 255, np.uint8)),
    ],
    ids=["grey", "rotated", "transparent"],
)
def test_other_kinds_of_pictures_become_upright_rgb(make: Callable[[], bytes], expected: np.ndarray) -> None:
    decoded = np.asarray(images.decode(make()))
    if expected.ndim == 2:
        expected = expected[:, :, None].repeat(3, 2)
    assert np.array_equal(decoded, expected)


@pytest.mark.parametrize("data", [b"", b"no picture", images.encode_png(pixels(64, 64))[:500]])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="not a readable image"):
        images.decode(data)
