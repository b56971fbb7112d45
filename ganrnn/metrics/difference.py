"""How far two measured numbers lie apart, from their own intervals: `difference_interval`."""

from math import sqrt

Interval = tuple[float, float]


def difference_interval(a: float, interval_a: Interval, b: float, interval_b: Interval) -> Interval:
    """Of a - b, from an interval of each that holds it, at the confidence of these; the two are independent.

    Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10, which is
    sound near 0 and 1 with Wilson's intervals, and holds for any estimates (Zou & Donner 2008).
    """
    (low_a, high_a), (low_b, high_b) = interval_a, interval_b
    return a - b - sqrt((a - low_a) ** 2 + (high_b - b) ** 2), a - b + sqrt((high_a - a) ** 2 + (b - low_b) ** 2)
