"""Labels and attribute tables as vectors: places, missing values, ranges, what is unknown."""

from typing import Any

import pytest

from ganrnn.config import from_plain
from ganrnn.data.conditions import Conditions
from ganrnn.errors import BadInput

ROWS: list[dict[str, Any]] = [
    {"sex": "f", "age": "20", "hair": "red"},
    {"sex": "m", "age": "60"},
    {"age": "40", "hair": None},
]


def table() -> Conditions:
    return Conditions.of_attributes([list(row.items()) for row in ROWS], ["age"])


def test_attributes_become_one_vector() -> None:
    conditions = table()
    assert conditions == Conditions(0, {"hair": ["red"], "sex": ["f", "m"]}, {"age": [20.0, 60.0]})
    # hair red, sex f, sex m, age, age is there
    assert conditions.encode([None] * 3, ROWS).tolist() == [[1, 1, 0, -1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]]
    assert len(conditions) == 5


def test_missing_is_not_the_middle_of_a_range() -> None:
    middle, missing = table().encode([None, None], [{"age": "40"}, None]).tolist()
    assert middle == [0, 0, 0, 0, 1] and missing == [0, 0, 0, 0, 0]


def test_each_number_has_two_places_of_its_own() -> None:
    rows = [{"age": "20", "height": "1", "weight": "5"}, {"age": "60", "height": "3", "weight": "7"}]
    conditions = Conditions.of_attributes(rows, ["weight", "height", "age"])
    assert conditions.encode([None] * 3, [*rows, {"height": "2", "weight": "7"}]).tolist() == [
        [-1, 1, -1, 1, -1, 1],
        [1, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
    ]


@pytest.mark.parametrize("value", ["old", "nan", "inf", ""])
def test_a_prompt_whose_number_is_none_has_it_missing_and_unknown(value: str) -> None:
    """One odd prompt does not end a run of millions."""
    conditions = table()
    assert conditions.encode([None], [{"sex": "f", "age": value}]).tolist() == [[0, 1, 0, 0, 0]]
    assert conditions.count_unknown(None, {"sex": "f", "age": value}) == 1


def test_labels_have_a_place_each() -> None:
    conditions = Conditions.of_labels([2, None, 0, 1])
    assert conditions.encode([0, 2, None, 7], [None] * 4).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_what_was_never_taught_is_counted() -> None:
    conditions = table()
    assert conditions.count_unknown(None, {"sex": "x", "age": "33", "shoe": "44", "hair": None}) == 2
    assert conditions.count_unknown(None, [("sex", "f")]) == conditions.count_unknown(None, None) == 0
    assert [Conditions(3, {}, {}).count_unknown(label, None) for label in (0, 2, 3, -1, None)] == [0, 0, 1, 1, 0]
    assert Conditions(0, {}, {}).count_unknown(5, {"sex": "f"}) == 0


def test_the_order_of_rows_changes_nothing() -> None:
    assert Conditions.of_attributes(reversed(ROWS), ["age"]) == table()


def test_json_gives_the_same_table() -> None:
    plain = {"num_labels": 0, "categories": {"sex": ["f", "m"]}, "ranges": {"age": [20.0, 60.0]}}
    assert from_plain(Conditions, plain).encode([None], [{"sex": "m", "age": "20"}]).tolist() == [[0, 1, -1, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conditions.of_labels([None]), "label: the data set's smallest is None; allowed are 0 and up"),
        (lambda: Conditions.of_labels([1, -2]), "smallest is -2"),
        (lambda: Conditions.of_attributes(ROWS, ["size"]), "numeric_attributes has 'size'; the data set has age, hair"),
        (lambda: Conditions.of_attributes(ROWS, ["sex"]), "attribute sex is '[fm]'; .* says that it is a number"),
        (lambda: Conditions.of_attributes([None, {}], []), "no row of the data set has any"),
        (lambda: Conditions.of_attributes([*ROWS, {"age": "nan"}], ["age"]), "attribute age is 'nan'"),
    ],
)
def test_what_makes_no_table_is_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()
