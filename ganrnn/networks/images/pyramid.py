"""The feature map sizes of generators, from small to large, and of discriminators, from large to small."""

from dataclasses import dataclass

from ganrnn.errors import BadInput


@dataclass(frozen=True)
class Pyramid:
    """Feature map sizes from the smallest to the largest, in pixels, with the number of channels of each.

    The largest map has half the size of the picture, which saves both networks their most expensive layers: pictures
    enter a discriminator as 2 x 2 patches folded into channels, and a generator ends in one upsampling.
    """

    sizes: tuple[tuple[int, int], ...]
    channels: tuple[int, ...]

    @classmethod
    def of(cls, height: int, width: int, base_channels: int) -> "Pyramid":
        """Halve while both sides are even and stay at least 4; channels double each time, up to 8 x `base_channels`."""
        check_image_size(height, width)
        sizes = [(height // 2, width // 2), (height // 4, width // 4)]
        while sizes[-1][0] % 2 == 0 and sizes[-1][1] % 2 == 0 and min(sizes[-1]) >= 8:
            sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
        channels = [base_channels * min(2**level, 8) for level in range(len(sizes))]
        return cls(tuple(reversed(sizes)), tuple(reversed(channels)))


def check_image_size(height: int, width: int) -> None:
    """Raise BadInput unless both sides are multiples of 4 from 16 up."""
    for name, value in (("height", height), ("width", width)):
        if value < 16 or value % 4:
            raise BadInput(f"{name} is {value}; allowed are multiples of 4 from 16 up")
