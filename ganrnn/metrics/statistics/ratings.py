"""What people's answers say: intervals that know that one person's answers are alike, preferences, sizes of studies.

    low, high = share_interval(found, total, seed=0)                  # bootstrap over raters
    log_strengths = bradley_terry(wins)                               # from pairs
    needed = sample_size(0.4, half_width=0.05, design_effect=design_effect(found, total))

A share of answers has `wilson_interval` besides, which takes them for independent. They are not: a rater who is good at
it is good all along, so the raters are what is drawn anew (Zhou et al. 2019, "HYPE").
"""

from math import ceil, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganrnn import noise
from ganrnn.errors import BadInput

Floats = NDArray[np.float64]

NUM_RESAMPLES = 2_000


def resampled_sums(per_rater: NDArray[Any], seed: int, num_resamples: int = NUM_RESAMPLES) -> Floats:
    """Sums over as many raters as there are, drawn with replacement: the bootstrap clustered by rater.

    per_rater:  [R, ...] what is added up of each rater: counts, or wins

    Returns [num_resamples, ...]. Raises BadInput for fewer than two raters, whose spread says nothing.
    """
    num_raters = len(per_rater)
    if num_raters < 2:
        raise BadInput(f"bootstrap by rater: {num_raters} raters, at least 2 are needed to tell how raters differ")
    draws = noise.uniform(num_resamples * num_raters, "raters", seed).reshape(num_resamples, num_raters)
    picks = (draws * num_raters).astype(np.int64)
    # [num_resamples, R]: how often each rater was drawn
    weights = np.stack([(picks == rater).sum(axis=1) for rater in range(num_raters)], axis=1).astype(np.float64)
    sums: Floats = (weights @ per_rater.reshape(num_raters, -1)).reshape(num_resamples, *per_rater.shape[1:])
    return sums


def percentile_interval(values: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """The middle `confidence` of resampled values [B, ...], as bounds [...]; NaN, of nothing drawn, is left out."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return low, high


def share_interval(
    found: NDArray[np.int64], total: NDArray[np.int64], seed: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a share of all answers, over raters drawn anew.

    found, total:  [R] how many answers of each rater are of the kind that is counted, and how many there are

    Raises BadInput where fewer than two raters have answered anything.
    """
    counts = np.stack([found, total], axis=1)[total > 0]
    sums = resampled_sums(counts, seed)
    low, high = percentile_interval(sums[:, 0] / sums[:, 1], confidence)
    return float(low), float(high)


def design_effect(found: NDArray[np.int64], total: NDArray[np.int64]) -> float:
    """By what factor raters who differ make answers [R] worth less than independent ones; 1 where nobody can tell.

    The variance of a ratio over clusters by linearisation (Kish 1965, "Survey sampling"), against the binomial one.
    A factor below 1 is chance, and becomes 1.
    """
    found, total = found[total > 0], total[total > 0]
    num_raters, num_answers = len(total), int(total.sum())
    share = float(found.sum() / num_answers) if num_answers else 0.0
    if num_raters < 2 or share in (0.0, 1.0):
        return 1.0
    between = num_raters / (num_raters - 1) * float(((found - share * total) ** 2).sum())
    return max(1.0, between / (num_answers * share * (1 - share)))


def sample_size(proportion: float, half_width: float, design_effect: float = 1.0, confidence: float = 0.95) -> int:
    """How many answers give a Wilson interval of at most plus and minus `half_width` around a share of `proportion`.

    Wilson's half width z sqrt(n p q + z^2 / 4) / (n + z^2), solved for n. Raises BadInput for a share outside 0 to 1 or
    a half width that is not between 0 and 0.5.
    """
    if not 0 <= proportion <= 1:
        raise BadInput(f"sample size: the share is {proportion}, allowed are values from 0 to 1")
    if not 0 < half_width < 0.5:
        raise BadInput(f"sample size: the half width is {half_width}, allowed is between 0 and 0.5")
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    h2 = half_width * half_width
    linear, constant = z2 * (2 * h2 - proportion * (1 - proportion)), z2 * z2 * (h2 - 0.25)
    root = (sqrt(linear * linear - 4 * h2 * constant) - linear) / (2 * h2)
    return ceil(root * design_effect - 1e-9)


def bradley_terry(wins: NDArray[Any], prior: float = 0.5) -> Floats:
    """Log-strengths of players from who was preferred to whom: i beats j with chance 1 / (1 + exp(s_j - s_i)).

    wins:   [..., K, K], [i, j] how often i was preferred to j; pairs that never met are 0 both ways
    prior:  wins added both ways to each pair that met, so that one who always won has a finite strength

    Returns [..., K] with mean 0, by the MM algorithm (Hunter 2004, "MM algorithms for generalized Bradley-Terry
    models"). Raises BadInput where players have met nobody, directly or not, by whom they could be compared.
    """
    met = ((wins + np.swapaxes(wins, -1, -2)) > 0).reshape(-1, *wins.shape[-2:]).any(axis=0)
    _require_connected(met)
    wins = wins + prior * met
    won, games = wins.sum(axis=-1), wins + np.swapaxes(wins, -1, -2)
    strengths = np.ones(won.shape)
    for _ in range(10_000):
        updated = won / (games / (strengths[..., :, None] + strengths[..., None, :])).sum(axis=-1)
        updated /= np.exp(np.log(updated).mean(axis=-1, keepdims=True))
        change = np.abs(np.log(updated / strengths)).max()
        strengths = updated
        if change < 1e-10:
            break
    return np.log(strengths)


def _require_connected(met: NDArray[np.bool_]) -> None:
    reached = {0}
    while more := {int(j) for i in reached for j in np.flatnonzero(met[i])} - reached:
        reached |= more
    if len(reached) < len(met):
        apart = sorted(set(range(len(met))) - reached)
        raise BadInput(f"Bradley-Terry: players {apart} were never compared with player 0, nor with any who was")
