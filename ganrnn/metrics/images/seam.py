"""Whether a panorama continues across its left and right edges as smoothly as inside."""

from dataclasses import dataclass

import torch

from ganrnn.errors import BadInput


@dataclass(frozen=True)
class Seam:
    """Differences between neighbouring columns, in grey levels, summed over pictures: at the seam and mean inside."""

    count: int = 0
    at_seam: float = 0.0
    inside: float = 0.0
    squared_difference: float = 0.0

    @classmethod
    def of(cls, images: torch.Tensor) -> "Seam":
        """Sums of pictures uint8 [N, 3, H, W]. Raises BadInput if W is 1: there are no columns away from the seam."""
        if images.shape[3] < 2:
            raise BadInput(f"seam: pictures are {images.shape[3]} wide, at least 2 columns are needed")
        x = images.double()
        steps = (x - x.roll(1, 3)).abs().mean((1, 2))  # [N, W], the first one at the seam
        at_seam, inside = steps[:, 0], steps[:, 1:].mean(1)
        return cls(len(x), float(at_seam.sum()), float(inside.sum()), float((at_seam - inside).square().sum()))

    def __add__(self, other: "Seam") -> "Seam":
        return Seam(
            self.count + other.count,
            self.at_seam + other.at_seam,
            self.inside + other.inside,
            self.squared_difference + other.squared_difference,
        )

    def ratio(self) -> tuple[float, float, float]:
        """Difference at the seam divided by the mean difference inside, with a 95 % interval; 1 is no seam at all.

        The interval comes from the variance between pictures of the difference of both. Pictures whose columns are all
        equal have no seam: 1. For one picture there is no variance and both bounds are its ratio.

        Raises BadInput if there is no picture.
        """
        if self.count < 1:
            raise BadInput(f"seam: {self.count} pictures, at least 1 is needed")
        if not self.inside:
            return 1.0, 1.0, 1.0
        difference = (self.at_seam - self.inside) / self.count
        variance = max(self.squared_difference / self.count - difference**2, 0.0) / max(self.count - 1, 1)
        ratio, spread = self.at_seam / self.inside, 1.96 * variance**0.5 * self.count / self.inside
        return ratio, ratio - spread, ratio + spread
