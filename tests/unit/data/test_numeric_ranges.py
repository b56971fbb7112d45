"""Numbers outside the range of the training rows are counted and never larger than the range."""

import pytest
import torch

from ganrnn.data.conditions import Conditions
from ganrnn.errors import BadInput

CONDITIONS = Conditions.of_attributes([{"size": "2", "dose": "5"}, {"size": "6", "dose": "5"}], ["size", "dose"])


@pytest.mark.parametrize(
    ("attributes", "num_unknown"),
    [
        ({"size": "4", "dose": "5"}, 0),
        ({"size": "600", "dose": "5"}, 1),
        ({"size": "4", "dose": "6"}, 1),
        ({"size": "-1e300", "dose": "1e300"}, 2),
        ({"size": "1e400", "dose": "nan"}, 2),
        ({"size": "2", "weight": "1"}, 1),
    ],
)
def test_what_no_training_row_had_is_counted_and_bounded(attributes: dict[str, str], num_unknown: int) -> None:
    assert CONDITIONS.count_unknown(None, attributes) == num_unknown
    assert CONDITIONS.encode([None], [attributes]).abs().max() <= 1


def test_an_end_of_the_range_stands_for_all_beyond_it() -> None:
    rows = [{"size": size, "dose": "5"} for size in ("2", "1", "6", "600")]
    dose_first = CONDITIONS.encode([None] * 4, rows)
    assert torch.equal(dose_first[0], dose_first[1]) and torch.equal(dose_first[2], dose_first[3])
    assert dose_first[:, 2].tolist() == [-1, -1, 1, 1]


def test_a_range_without_a_finite_width_is_refused() -> None:
    with pytest.raises(BadInput, match=r"attribute size is -1e.308 to 1e.308; allowed are ranges up to"):
        Conditions.of_attributes([{"size": "-1e308"}, {"size": "1e308"}], ["size"])
