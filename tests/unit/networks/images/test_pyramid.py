"""Picture sizes that the networks take, and how they are halved."""

import pytest

from ganrnn.errors import BadInput
from ganrnn.networks.images.pyramid import Pyramid, check_image_size


@pytest.mark.parametrize(
    ("height", "width", "sizes", "channels"),
    [
        (16, 16, ((4, 4), (8, 8)), (8, 4)),
        (20, 36, ((5, 9), (10, 18)), (8, 4)),
        (32, 64, ((4, 8), (8, 16), (16, 32)), (16, 8, 4)),
        (24, 16, ((6, 4), (12, 8)), (8, 4)),
        (256, 256, ((4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (128, 128)), (32, 32, 32, 16, 8, 4)),
    ],
)
def test_sizes_and_channels(
    height: int, width: int, sizes: tuple[tuple[int, int], ...], channels: tuple[int, ...]
) -> None:
    pyramid = Pyramid.of(height, width, base_channels=4)
    assert pyramid.sizes == sizes
    assert pyramid.channels == channels


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (15, 16, "height is 15; allowed are multiples of 4 from 16 up"),
        (16, 18, "width is 18; allowed are multiples of 4 from 16 up"),
        (12, 16, "height is 12"),
        (16, 0, "width is 0"),
        (-16, 16, "height is -16"),
    ],
)
def test_other_sizes_are_refused(height: int, width: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_image_size(height, width)
    with pytest.raises(BadInput, match=message):
        Pyramid.of(height, width, 4)
