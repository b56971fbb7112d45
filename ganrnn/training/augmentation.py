"""Differentiable augmentation: what keeps a discriminator from learning few pictures by heart.

Real and generated pictures alike go through it before they are read, in the updates of both players: brightness,
saturation, contrast, shifts and holes (Zhao et al., "Differentiable augmentation for data-efficient GAN training",
NeurIPS 2020), each drawn for each picture with one probability. That is fixed, or moved by how far the discriminator
has gone (Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020).
Nothing is mirrored: captions say left and right, and letters have a side.
"""

import torch
from torch import nn

from ganrnn.distributed import sum_over_workers


class Augmentation(nn.Module):
    """Pictures in, changed pictures out; all that moves lies in buffers, and so in the checkpoint.

    `target` None holds the probability where it is. Else it rises while the share of pairs with the real picture ahead,
    minus the share with the generated one ahead, is above `target`, and falls below it, from 0 to 1 in `ramp_images`
    pictures of all workers. The paper compares the logits of real pictures with 0; pairs are compared here because
    relativistic and Wasserstein logits have no zero of their own.

    With `wrap` every picture is turned about its vertical axis by any number of columns, whatever the probability: a
    panorama begins nowhere. Holes go on at the other side.
    """

    probability: torch.Tensor  # float32, scalar
    sums: torch.Tensor  # float64 [2]: signs of pairs, number of pairs, since the last adjustment

    def __init__(self, probability: float, target: float | None, ramp_images: int, wrap: bool = False) -> None:
        super().__init__()
        self.target, self.ramp_images, self.wrap = target, ramp_images, wrap
        self.is_idle = probability == 0 and target is None
        self.register_buffer("probability", torch.tensor(probability, dtype=torch.float32))
        self.register_buffer("sums", torch.zeros(2, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures float [N, 3, H, W], about -1 to 1, to as many.

        But for the turn of `wrap`, at probability 0 they pass bit for bit: nothing is drawn where it stays 0, all is
        drawn where it can rise.
        """
        if self.wrap:
            images = _turned(images)
        if self.is_idle:
            return images
        for change in (_brighter, _more_saturated, _more_contrasted, self._shifted, self._holed):
            chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < self.probability
            images = torch.where(chosen, change(images), images)
        return images

    @torch.no_grad()
    def observe(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> None:
        """Take note of the logits [N] of real pictures and of their generated partners."""
        self.sums += torch.stack([(on_real - on_fake).sign().sum().double(), self.sums.new_tensor(len(on_real))])

    @torch.no_grad()
    def adjust(self) -> None:
        """Move the probability by what was observed since the last time; all workers have to call it."""
        assert self.target is not None
        signs, count = sum_over_workers(self.sums)
        direction = (signs / count.clamp(min=1) - self.target).sign()
        self.probability += (direction * count / self.ramp_images).to(self.probability.dtype)
        self.probability.clamp_(0, 1)
        self.sums.zero_()

    def _shifted(self, images: torch.Tensor) -> torch.Tensor:
        return _shifted(images, 0 if self.wrap else images.shape[3] // 8)

    def _holed(self, images: torch.Tensor) -> torch.Tensor:
        return _holed(images, self.wrap)


def _uniform(images: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def _brighter(images: torch.Tensor) -> torch.Tensor:
    """Half the range up or down at most."""
    return images + _uniform(images, -0.5, 0.5)


def _more_saturated(images: torch.Tensor) -> torch.Tensor:
    """Colours at 0 to 2 times their distance from grey."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * _uniform(images, 0.0, 2.0)


def _more_contrasted(images: torch.Tensor) -> torch.Tensor:
    """Values at half to one and a half times their distance from the picture's mean."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(images, 0.5, 1.5)


def _shifted(images: torch.Tensor, most_columns: int) -> torch.Tensor:
    """Up to an eighth of the height up or down, up to `most_columns` left or right, mid grey moving in."""
    num, _, height, width = images.shape
    rows = _from(images, _shift(images, height // 8), height)
    columns = _from(images, _shift(images, most_columns), width)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    picture = torch.arange(num, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        picture, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2) * inside


def _turned(images: torch.Tensor) -> torch.Tensor:
    """Each picture's columns moved on by a number of its own; those that leave on one side enter on the other."""
    num, _, _, width = images.shape
    shift = torch.randint(0, width, (num, 1), device=images.device)
    columns = _from(images, shift, width) % width
    return images.gather(3, columns[:, None, None, :].expand_as(images))


def _holed(images: torch.Tensor, wrap: bool = False) -> torch.Tensor:
    """Mid grey in a window of half the sides about a random point, cut off at the edges that do not `wrap`."""
    _, _, height, width = images.shape
    hidden = _near(images, height)[:, None, :, None] & _near(images, width, wrap)[:, None, None, :]
    return images.masked_fill(hidden, 0.0)


def _near(images: torch.Tensor, size: int, wrap: bool = False) -> torch.Tensor:
    """bool [N, size]: places within a quarter of the side of a random one; with `wrap` the last is beside the first."""
    # Up to `size` itself: the window is open at its end, and the far edge is to be hidden as often as the near one.
    # With `wrap` that is place 0 again.
    centre = torch.randint(0, size if wrap else size + 1, (len(images), 1), device=images.device)
    ahead = _from(images, centre - size // 4, size)  # of the window's first place
    if wrap:
        ahead = ahead % size
    return (ahead >= 0) & (ahead < size // 4 * 2)


def _shift(images: torch.Tensor, most: int) -> torch.Tensor:
    return torch.randint(-most, most + 1, (len(images), 1), device=images.device)


def _from(images: torch.Tensor, shift: torch.Tensor, size: int) -> torch.Tensor:
    """int64 [N, size]: where each place's value comes from."""
    return torch.arange(size, device=images.device) - shift
