"""Columns of prompts become the rules of their texts; several samples of a search are its best texts in order."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from ganrnn.decoding.rules import Decoding
from pipelines.sampling.decoding_columns import DECODING_COLUMNS, decodings

SEARCH = Decoding(num_beams=4, length_penalty=0.6)


def prompts(num: int, **columns: Sequence[Any]) -> pa.Table:
    return pa.table({"prompt_id": [f"p{i}" for i in range(num)], "prompt": ["x"] * num, **columns})


def test_a_column_is_a_rule_and_null_the_default() -> None:
    table = prompts(
        2,
        temperature=[0.5, None],
        num_beams=pa.array([None, 3], pa.int32()),
        stop=[["a", "bc"], None],
        bias=pa.array([[("a", 2.0)], None], pa.map_(pa.string(), pa.float64())),
        source_of=["passed", "through"],
    )
    made, rejects = decodings(table, SEARCH)
    assert made == [
        Decoding(temperature=0.5, num_beams=4, length_penalty=0.6, stop=("a", "bc"), bias={"a": 2.0}),
        Decoding(num_beams=3, length_penalty=0.6),
    ]
    assert rejects == {} and "best" in DECODING_COLUMNS
    assert decodings(prompts(3), SEARCH) == ([SEARCH] * 3, {})


def test_samples_of_a_search_are_its_best_texts_in_order() -> None:
    # As `expand` gives them: three samples of one prompt, one of another, two that begin with the second best.
    table = prompts(
        6, num_beams=[4, 4, 4, 2, 3, 3], num_samples=[3, 3, 3, None, 2, 2], best=[None, None, None, None, 1, 1]
    )
    numbers = [0, 1, 2, 0, 0, 1]
    made, rejects = decodings(table, Decoding(), numbers)
    assert [rules.best for rules in made] == [0, 1, 2, 0, 1, 2] and rejects == {}
    assert [rules.num_beams for rules in made] == [4, 4, 4, 2, 3, 3]
    # Without numbers, as for a whole prompt, all begin where they are told to.
    assert [rules.best for rules in decodings(table, Decoding())[0]] == [0, 0, 0, 0, 1, 1]


def test_samples_that_are_drawn_are_not_numbered() -> None:
    table = prompts(3, num_samples=[3, 3, 3], num_beams=[1, None, 2])
    made, rejects = decodings(table, Decoding(), [0, 1, 1])
    assert [rules.best for rules in made] == [0, 0, 0]  # the last is refused: a search of two has no third text
    assert rejects == {"p2": "num_samples is 3; a search with num_beams 2 has no more"}
    many = prompts(2, num_samples=[1_000, 1_000])
    assert decodings(many, Decoding(), [0, 999]) == ([Decoding()] * 2, {})


@pytest.mark.parametrize("numbers", [None, [0] * 6])
def test_more_samples_than_beams_are_refused_before_any_is_written(numbers: list[int] | None) -> None:
    table = prompts(
        6,
        num_samples=[4, 5, 1, 2, None, 3],
        num_beams=[None, None, None, None, 2, 1],
        best=[None, None, 3, 3, 1, None],
    )
    made, rejects = decodings(table, SEARCH, numbers)
    sentence = "; a search with num_beams 4 has no more"
    assert rejects == {"p1": f"num_samples is 5{sentence}", "p3": f"num_samples is 2{sentence}"}
    assert made[1] == made[3] == SEARCH and made[0] == SEARCH and made[2].best == 3


def test_a_rule_that_cannot_be_costs_its_row_alone() -> None:
    table = prompts(3, num_beams=[2, 0, 2], best=[1, 0, 2])
    made, rejects = decodings(table, Decoding())
    assert rejects == {
        "p1": "num_beams is 0; allowed are values from 1 to 64",
        "p2": "best is 2; allowed are values from 0 to 1",
    }
    assert made == [Decoding(num_beams=2, best=1), Decoding(), Decoding()]
