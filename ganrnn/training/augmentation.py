"""Differentiable augmentation, which keeps a discriminator from memorising small data sets.

Real and generated pictures are augmented before the discriminator, in the updates of both players: brightness,
saturation, contrast, shifts and cutout (Zhao et al., "Differentiable augmentation for data-efficient GAN training",
NeurIPS 2020), each applied to each picture with the same probability. The probability is fixed or adapted to the
discriminator's overfitting (Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020).
Pictures are not mirrored, because captions name left and right.
"""

import torch
from torch import nn

from ganrnn.distributed import sum_over_workers


class Augmentation(nn.Module):
    """Augments pictures; its changing state is in buffers, and so in the checkpoint.

    With `target` None the probability is constant. Otherwise it rises while the share of pairs whose real picture has
    the larger logit, minus the share of the other pairs, is above `target`, and falls while it is below; from 0 to 1 it
    takes `ramp_images` pictures of all workers. The paper compares the logits of real pictures with 0; pairs are
    compared here because relativistic and Wasserstein logits have no fixed zero.

    With `wrap` the columns of every picture are rolled by a random number, with probability 1, because a panorama has
    no first column; cutout wraps around too.
    """

    probability: torch.Tensor  # float32, scalar
    sums: torch.Tensor  # float64 [2] since the last adjustment: sum of the signs of pairs, number of pairs

    def __init__(self, probability: float, target: float | None, ramp_images: int, wrap: bool = False) -> None:
        super().__init__()
        self.target, self.ramp_images, self.wrap = target, ramp_images, wrap
        self.is_idle = probability == 0 and target is None
        self.register_buffer("probability", torch.tensor(probability, dtype=torch.float32))
        self.register_buffer("sums", torch.zeros(2, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float [N, 3, H, W], about -1 to 1, to as many.

        Apart from the roll of `wrap`, pictures pass unchanged at probability 0. Random numbers are drawn unless the
        probability is 0 forever.
        """
        if self.wrap:
            images = _rolled(images)
        if self.is_idle:
            return images
        for change in (_brighter, _more_saturated, _more_contrasted, self._shifted, self._cut_out):
            is_changed = torch.rand(len(images), 1, 1, 1, device=images.device) < self.probability
            images = torch.where(is_changed, change(images), images)
        return images

    @torch.no_grad()
    def observe(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> None:
        """Add the logits [N] of real pictures and of their generated partners to the sums."""
        self.sums += torch.stack([(on_real - on_fake).sign().sum().double(), self.sums.new_tensor(len(on_real))])

    @torch.no_grad()
    def adjust(self) -> None:
        """Adapt the probability to the logits observed since the last call; all workers have to call it."""
        assert self.target is not None
        signs, count = sum_over_workers(self.sums)
        direction = (signs / count.clamp(min=1) - self.target).sign()
        self.probability += (direction * count / self.ramp_images).to(self.probability.dtype)
        self.probability.clamp_(0, 1)
        self.sums.zero_()

    def _shifted(self, images: torch.Tensor) -> torch.Tensor:
        return _shifted(images, 0 if self.wrap else images.shape[3] // 8)

    def _cut_out(self, images: torch.Tensor) -> torch.Tensor:
        return _cut_out(images, self.wrap)


def _uniform(images: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def _brighter(images: torch.Tensor) -> torch.Tensor:
    """Brightness changed by at most half of the range."""
    return images + _uniform(images, -0.5, 0.5)


def _more_saturated(images: torch.Tensor) -> torch.Tensor:
    """Saturation multiplied by 0 to 2."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * _uniform(images, 0.0, 2.0)


def _more_contrasted(images: torch.Tensor) -> torch.Tensor:
    """Contrast, the distance from the picture's mean, multiplied by 0.5 to 1.5."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(images, 0.5, 1.5)


def _shifted(images: torch.Tensor, max_columns: int) -> torch.Tensor:
    """Shifted by up to an eighth of the height and up to `max_columns` columns, filled with mid grey."""
    num, _, height, width = images.shape
    rows = _from(images, _shift(images, height // 8), height)
    columns = _from(images, _shift(images, max_columns), width)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    picture = torch.arange(num, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        picture, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2) * inside


def _rolled(images: torch.Tensor) -> torch.Tensor:
    """Each picture's columns rolled by a random number."""
    num, _, _, width = images.shape
    shift = torch.randint(0, width, (num, 1), device=images.device)
    columns = _from(images, shift, width) % width
    return images.gather(3, columns[:, None, None, :].expand_as(images))


def _cut_out(images: torch.Tensor, wrap: bool = False) -> torch.Tensor:
    """Mid grey in a window of half the sides around a random point, cropped at the edges unless they `wrap`."""
    _, _, height, width = images.shape
    hidden = _near(images, height)[:, None, :, None] & _near(images, width, wrap)[:, None, None, :]
    return images.masked_fill(hidden, 0.0)


def _near(images: torch.Tensor, size: int, wrap: bool = False) -> torch.Tensor:
    """bool [N, size]: positions within a quarter of the side of a random position, circularly with `wrap`."""
    # Up to `size`: the window is half-open, and both edges have to be hidden equally often. With `wrap`, `size` is
    # position 0 again.
    centre = torch.randint(0, size if wrap else size + 1, (len(images), 1), device=images.device)
    offset = _from(images, centre - size // 4, size)  # from the first position of the window
    if wrap:
        offset = offset % size
    return (offset >= 0) & (offset < size // 4 * 2)


def _shift(images: torch.Tensor, max_shift: int) -> torch.Tensor:
    return torch.randint(-max_shift, max_shift + 1, (len(images), 1), device=images.device)


def _from(images: torch.Tensor, shift: torch.Tensor, size: int) -> torch.Tensor:
    """int64 [N, size]: the source position of each position."""
    return torch.arange(size, device=images.device) - shift
