"""Differences of measured numbers: Newcombe's own examples, signs, what is certain."""

import pytest

from ganrnn.metrics.statistics.intervals import difference_interval, wilson_interval


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [  # table II of the paper, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_proportions_are_as_far_apart_as_newcombe_has_them(
    a: tuple[int, int], b: tuple[int, int], expected: tuple[float, float]
) -> None:
    interval = difference_interval(a[0] / a[1], wilson_interval(*a), b[0] / b[1], wilson_interval(*b))
    assert interval == pytest.approx(expected, abs=1e-4)


def test_the_other_way_round_it_is_the_other_sign() -> None:
    a, b = (0.9, (0.85, 0.92)), (0.7, (0.6, 0.75))
    low, high = difference_interval(*a, *b)
    assert difference_interval(*b, *a) == pytest.approx((-high, -low))
    assert difference_interval(0.9, (0.9, 0.9), 0.7, (0.7, 0.7)) == pytest.approx((0.2, 0.2))
