"""Checks of config values: bounds, what is said of a value outside, and that nan is outside all of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ganrnn.config import above, at_least, at_most, below, between, require_share, within
from ganrnn.errors import BadInput


@dataclass(frozen=True)
class Config:
    """One value under check."""

    x: float


@pytest.mark.parametrize(
    ("check", "bounds", "inside", "outside", "allowed"),
    [
        (at_least, {"x": 1}, [1, 2, math.inf], [0.9, -1], "values from 1 up"),
        (at_most, {"x": 3}, [3, -math.inf], [3.1], "values up to 3"),
        (above, {"x": 0}, [1e-9], [0, -1], "values above 0"),
        (within, {"x": (0, 1)}, [0, 0.5, 1], [-0.1, 1.1], "values from 0 to 1"),
        (between, {"x": (0, 0.5)}, [0.1], [0, 0.5], "values between 0 and 0.5"),
        (below, {"x": 1}, [0, 0.9], [-0.1, 1], "values from 0 to below 1"),
    ],
)
def test_bounds(
    check: Callable[..., None], bounds: dict[str, Any], inside: list[float], outside: list[float], allowed: str
) -> None:
    for value in inside:
        check("section", Config(value), **bounds)
    for value in (*outside, math.nan):
        with pytest.raises(BadInput) as error:
            check("section", Config(value), **bounds)
        assert str(error.value) == f"section.x is {value}; allowed are {allowed}"


def test_a_share_is_below_1_and_a_section_may_have_no_name() -> None:
    require_share("", Config(0), "x")
    for value in (1, -0.1, math.nan):
        with pytest.raises(BadInput, match=f"^x is {value}; allowed are shares from 0 to below 1$"):
            require_share("", Config(value), "x")
