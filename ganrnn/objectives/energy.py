"""The energy score, from which a generator learns to answer one condition with as many pictures as reality does.

A sample of a condition is to be near the real picture of it, and two samples are to be as far from each other. The
expectation is smallest for the real distribution given the condition and for no other (Gneiting and Raftery, "Strictly
proper scoring rules, prediction, and estimation", 2007), and one real picture of each condition suffices (Bouchacourt
et al., "DISCO Nets", NeurIPS 2016). Two samples that are equal repel each other with full strength, so that a generator
cannot go on ignoring its noise.
"""

import torch
from torch.nn import functional as F

_PATCH = 4  # pixels a side
_EPSILON = 1e-6


def energy_score(
    samples: torch.Tensor,  # float32 [2 N, 3, H, W], -1 to 1: a sample of each condition, then another of each
    real: torch.Tensor,  # the real picture of each condition, [N, 3, H, W]
    repulsion: float = 1.0,  # share of the distance between the samples that counts; only 1 is a proper score
) -> torch.Tensor:
    """Mean distance of both samples to the real picture minus half the distance between the samples.

    Of whole pictures, whose distance sees how parts belong together, plus that of patches of 4 x 4, in which a wrong
    background counts as much as a wrong object.
    """
    first, second = samples.chunk(2)
    to_real = _distance(samples, torch.cat([real, real]))
    return to_real - repulsion / 2 * _distance(first, second)


def _distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean over rows and patches of the root mean square difference, plus that of whole pictures."""
    squares = (a - b).square().mean(1, keepdim=True)
    sizes = (tuple(squares.shape[2:]), (_PATCH, _PATCH))
    return torch.stack([(F.avg_pool2d(squares, size) + _EPSILON).sqrt().mean() for size in sizes]).sum()
