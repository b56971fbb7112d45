"""Latents on the sphere whose radius is the square root of their dimension, so that coordinates are of size 1."""

import math

import torch
from torch.nn import functional as F

from ganrnn import exact

MAX_DIMENSIONS = 1_024  # at the pole of a larger sphere a coordinate would be clipped
_ANGLE_BITS = 30
_LEAST_SINE = 1e-6
_LEAST_DIFFERENCE = 1e-6


def on_sphere(x: torch.Tensor) -> torch.Tensor:
    """The points of the sphere nearest to x [N, D]."""
    return F.normalize(x, dim=1) * x.shape[1] ** 0.5


def mean_cosine(points: torch.Tensor) -> torch.Tensor:
    """The mean cosine of all pairs of points [N, D] on the sphere, self-pairs included; 1 if all are equal."""
    return points.mean(0).square().mean()


def relative_diversity(generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """1 minus the mean cosine of generated points [N, D], divided by the same of real points [M, D]."""
    return (1.0 - mean_cosine(generated)) / (1.0 - mean_cosine(real)).clamp_min(_LEAST_DIFFERENCE)


def exact_on_sphere(x: torch.Tensor) -> torch.Tensor:
    """`on_sphere` from snapped [N, D] to snapped points."""
    # Squares are multiples of 2^-28 and below 2^10, so that their sum is exact.
    lengths = x.square().sum(1, keepdim=True).sqrt().clamp_min(2.0**-exact.VALUE_BITS)
    return exact.snapped(x / lengths * math.sqrt(x.shape[1]))


def exact_between(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """The point at a share of the great circle from `start` to `end`, all snapped [D] on the sphere.

    Shoemake, "Animating rotation with quaternion curves" (SIGGRAPH 1985). Opposite points have no unique great circle;
    they are interpolated on the straight line.
    """
    cosine = float(start @ end) / len(start)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    sine = math.sin(angle)
    weights = (1.0 - share, share)
    if sine > _LEAST_SINE:
        weights = (math.sin((1.0 - share) * angle) / sine, math.sin(share * angle) / sine)
    start_weight, end_weight = (round(weight * 2.0**_ANGLE_BITS) * 2.0**-_ANGLE_BITS for weight in weights)
    return exact.snapped(start_weight * start + end_weight * end)
