"""Shares: the shares of parts add up to that of the whole, and nothing of nothing is worth nothing."""

import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.intervals import wilson_interval
from ganrnn.metrics.statistics.share import Share


def test_shares_of_parts_add_up() -> None:
    assert Share(1, 3) + Share(0, 0) + Share(4, 5) == Share(5, 8)
    assert (Share(1, 3) + Share(4, 5)).value == 0.625


def test_interval_is_wilsons() -> None:
    assert Share(5, 8).interval() == wilson_interval(5, 8)
    assert Share(5, 8).interval(0.5) == wilson_interval(5, 8, 0.5)
    assert Share(0, 10).interval() == pytest.approx((0.0, 0.27753), abs=1e-5)


def test_nothing_of_nothing_is_worth_nothing_and_may_be_anything() -> None:
    assert Share(0, 0).value == 0.0
    assert Share(0, 0).interval() == (0.0, 1.0)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(BadInput, match="9 successes of 8"):
        Share(9, 8).interval()
