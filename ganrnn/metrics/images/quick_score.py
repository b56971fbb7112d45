"""A cheap score for validation during training: no learnt features, the same function at every step.

Features are means and standard deviations of each channel of three convolution layers with random weights from a fixed
seed; there are few of them, so that a few hundred pictures determine their covariance. Random features rank sets of
pictures of one kind well enough to detect a decline and a collapse (Naeem et al., "Reliable fidelity and diversity
metrics for generative models", ICML 2020, section 4.2); the numbers are not comparable with any other score.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean

import torch
from torch.nn import functional as F

from ganrnn.data.images import to_float
from ganrnn.errors import BadInput
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from ganrnn.training.guard import Quality

_CHANNELS = (3, 8, 12, 16)
_SEED = 20_260_101
_EPSILON = 1e-6


class QuickScore:
    """Compares samples with a fixed set of real pictures, uint8 [N, 3, H, W].

    Raises BadInput if there are fewer than 2 real pictures or samples, or if all real pictures are equal.
    """

    def __init__(self, real: torch.Tensor) -> None:
        if len(real) < 2 or bool((real == real[:1]).all()):
            raise BadInput(f"quick score: {len(real)} real pictures of which no two differ, at least 2 have to")
        generator = torch.Generator().manual_seed(_SEED)
        self.weights = [
            torch.randn(out_channels, in_channels, 3, 3, generator=generator) * (2 / (9 * in_channels)) ** 0.5
            for in_channels, out_channels in pairwise(_CHANNELS)
        ]
        features = self._features(real)
        # Features are divided by their standard deviation over real pictures, so that none dominates.
        self.mean, self.scale = features.mean(0), features.std(0) + _EPSILON
        self.real = (features - self.mean) / self.scale

    @torch.no_grad()
    def __call__(self, samples: torch.Tensor) -> Quality:
        """Distance and diversity of samples uint8 [N, 3, H, W]."""
        features = self.scaled_features(samples)
        distance = frechet_distance(Moments.from_features(features.numpy()), Moments.from_features(self.real.numpy()))
        return Quality(distance, _mean_distance(features) / max(_mean_distance(self.real), _EPSILON))

    def scaled_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features [N, D] of pictures uint8 [N, 3, H, W], in standard deviations of the real ones."""
        return (self._features(images) - self.mean) / self.scale

    @torch.no_grad()
    def _features(self, images: torch.Tensor) -> torch.Tensor:
        x, features = to_float(images.cpu()), []
        for weight in self.weights:
            x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
            features += [x.mean((2, 3)), x.flatten(2).std(2)]
        return torch.cat(features, 1)


class QuickSpread:
    """Do samples of a condition differ as real pictures of it do? Mean distances, samples over real ones.

    groups:       real pictures uint8 [N >= 2, C, H, W] of one condition each
    features_of:  pictures [N, C, H, W] to float features [N, D]; pixels without it
    """

    def __init__(
        self, groups: Sequence[torch.Tensor], features_of: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> None:
        self.features_of = features_of or _flat
        self.real = fmean(_mean_distance(self.features_of(group)) for group in groups) if groups else 0.0

    def __call__(self, groups: Sequence[torch.Tensor]) -> float | None:
        """The ratio for samples uint8 [K >= 2, C, H, W] of one condition each; None where no real pictures differ."""
        return fmean(_mean_distance(self.features_of(group)) for group in groups) / self.real if self.real else None


def _flat(images: torch.Tensor) -> torch.Tensor:
    return to_float(images.cpu()).flatten(1)


def _mean_distance(features: torch.Tensor) -> float:
    """Mean Euclidean distance between two different rows."""
    return float(torch.pdist(features).mean())
