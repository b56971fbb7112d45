"""Confidence intervals of proportions and of differences of two measured numbers."""

from math import sqrt
from statistics import NormalDist

from ganrnn.errors import BadInput


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson 1927), valid near 0 and 1, where the normal interval is not.

    Raises BadInput unless 0 <= successes <= total, total >= 1 and 0 < confidence < 1.
    """
    if not (total >= 1 and 0 <= successes <= total):
        raise BadInput(f"Wilson interval: {successes} successes of {total}, allowed are 0 to total, at least 1")
    if not 0 < confidence < 1:
        raise BadInput(f"Wilson interval: confidence is {confidence}, allowed is between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    proportion = successes / total
    centre = proportion + z * z / (2 * total)
    half_width = z * sqrt(proportion * (1 - proportion) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # Rounding must not exclude the proportion, which is itself a bound if it is 0 or 1.
    low, high = max((centre - half_width) / scale, 0.0), min((centre + half_width) / scale, 1.0)
    return min(low, proportion), max(high, proportion)


Interval = tuple[float, float]


def difference_interval(a: float, interval_a: Interval, b: float, interval_b: Interval) -> Interval:
    """Confidence interval of a - b, from independent estimates a and b with intervals of the same confidence.

    Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10, which is
    valid near 0 and 1 with Wilson's intervals, and for other estimates too (Zou & Donner 2008).
    """
    (low_a, high_a), (low_b, high_b) = interval_a, interval_b
    return a - b - sqrt((a - low_a) ** 2 + (high_b - b) ** 2), a - b + sqrt((high_a - a) ** 2 + (b - low_b) ** 2)
