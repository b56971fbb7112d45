"""Latents on the sphere whose radius is the root of their dimension, so that a coordinate is about 1 in size."""

import math

import torch
from torch.nn import functional as F

from ganrnn import exact

MOST_DIMENSIONS = 1_024  # at the pole of a larger sphere a coordinate would be clipped
_ANGLE_BITS = 30
_LEAST_SINE = 1e-6
_LEAST_DIFFERENCE = 1e-6


def on_sphere(x: torch.Tensor) -> torch.Tensor:
    """The nearest points to x [N, D]."""
    return F.normalize(x, dim=1) * x.shape[1] ** 0.5


def mean_cosine(points: torch.Tensor) -> torch.Tensor:
    """The mean cosine of all pairs of points [N, D] on the sphere, each with itself too: 1 where they are one."""
    return points.mean(0).square().mean()


def relative_diversity(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """How far points [N, D] are from being alike, as a share of how far real ones [M, D] are."""
    return (1.0 - mean_cosine(made)) / (1.0 - mean_cosine(real)).clamp_min(_LEAST_DIFFERENCE)


def exact_on_sphere(x: torch.Tensor) -> torch.Tensor:
    """The same of snapped [N, D], snapped."""
    # Squares are multiples of 2^-28 and below 2^10, so that their sum is exact.
    lengths = x.square().sum(1, keepdim=True).sqrt().clamp_min(2.0**-exact.VALUE_BITS)
    return exact.snapped(x / lengths * math.sqrt(x.shape[1]))


def exact_between(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """The point on the great circle from `start` to `end`, snapped [D] on the sphere all, at a share of the way.

    Shoemake, "Animating rotation with quaternion curves" (SIGGRAPH 1985). Opposite points have no one way between them;
    theirs is the straight line.
    """
    cosine = float(start @ end) / len(start)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    sine = math.sin(angle)
    parts = (1.0 - share, share)
    if sine > _LEAST_SINE:
        parts = (math.sin((1.0 - share) * angle) / sine, math.sin(share * angle) / sine)
    of_start, of_end = (round(part * 2.0**_ANGLE_BITS) * 2.0**-_ANGLE_BITS for part in parts)
    return exact.snapped(of_start * start + of_end * end)
