"""Statistics of human ratings: intervals clustered by rater, preference strengths, sample sizes.

    low, high = share_interval(counts, totals, seed=0)                # bootstrap over raters
    log_strengths = bradley_terry(wins)                               # from pairs
    num_answers = sample_size(0.4, half_width=0.05, design_effect=design_effect(counts, totals))

`wilson_interval` assumes that answers are independent. The answers of one rater are correlated, so the bootstrap here
resamples raters (Zhou et al. 2019, "HYPE").
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
    """Sums over R raters drawn with replacement: the bootstrap clustered by rater.

    per_rater:  [R, ...] counts or wins of each rater

    Returns [num_resamples, ...]. Raises BadInput for fewer than two raters, which have no variance.
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
    """Percentile bounds [...] of resampled values [B, ...]; NaN, from empty resamples, is ignored."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return low, high


def share_interval(
    counts: NDArray[np.int64], totals: NDArray[np.int64], seed: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval, over raters, of a share of all answers.

    counts, totals:  [R] how many answers of each rater count, of how many

    Raises BadInput if fewer than two raters have answers.
    """
    sums = resampled_sums(np.stack([counts, totals], axis=1)[totals > 0], seed)
    low, high = percentile_interval(sums[:, 0] / sums[:, 1], confidence)
    return float(low), float(high)


def design_effect(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> float:
    """The factor by which correlation within raters [R] increases the variance of a share; 1 if it cannot be estimated.

    The variance of a ratio over clusters by linearisation (Kish 1965, "Survey sampling"), divided by the binomial
    variance. A factor below 1 is chance, and becomes 1.
    """
    counts, totals = counts[totals > 0], totals[totals > 0]
    num_raters, num_answers = len(totals), int(totals.sum())
    share = float(counts.sum() / num_answers) if num_answers else 0.0
    if num_raters < 2 or share in (0.0, 1.0):
        return 1.0
    between = num_raters / (num_raters - 1) * float(((counts - share * totals) ** 2).sum())
    return max(1.0, between / (num_answers * share * (1 - share)))


def sample_size(proportion: float, half_width: float, design_effect: float = 1.0, confidence: float = 0.95) -> int:
    """The number of answers whose Wilson interval for a share of `proportion` is at most +- `half_width`.

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
    """Log-strengths of players from pairwise preferences: i beats j with probability 1 / (1 + exp(s_j - s_i)).

    wins:   [..., K, K], at [i, j] how often i was preferred to j; pairs that were never compared are 0 both ways
    prior:  wins added both ways to each compared pair, so that a player who always won has a finite strength

    Returns [..., K] with mean 0, by the MM algorithm (Hunter 2004, "MM algorithms for generalized Bradley-Terry
    models"). Raises BadInput if the comparisons do not connect all players.
    """
    is_compared = ((wins + np.swapaxes(wins, -1, -2)) > 0).reshape(-1, *wins.shape[-2:]).any(axis=0)
    _require_connected(is_compared)
    wins = wins + prior * is_compared
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


def _require_connected(is_compared: NDArray[np.bool_]) -> None:
    reached = {0}
    while more := {int(j) for i in reached for j in np.flatnonzero(is_compared[i])} - reached:
        reached |= more
    if len(reached) < len(is_compared):
        disconnected = sorted(set(range(len(is_compared))) - reached)
        raise BadInput(f"Bradley-Terry: players {disconnected} were never compared with player 0, nor with any who was")
