"""Values of Hive partitions compare as what they all are: numbers, dates or texts."""

import pytest

from ganrnn.errors import BadInput
from pipelines.formats.partitions import Value, selected


def kept(values: list[str], since: Value | None = None, where: Value | None = None) -> list[str]:
    """The values of partitions k=VALUE that a selection keeps."""
    uris = [f"/p/k={value}/a.parquet" for value in values]
    of_key = [{} if value is None else {"k": value} for value in (since, where)]
    return [uri.split("/")[2].removeprefix("k=") for uri in selected(uris, *of_key)[0]]


MONTHS = ["10", "11", "8", "9"]
NULL = "__HIVE_DEFAULT_PARTITION__"


@pytest.mark.parametrize(
    ("values", "since", "left"),
    [
        (MONTHS, "9", ["10", "11", "9"]),
        (MONTHS, 9, ["10", "11", "9"]),
        (MONTHS, 9.5, ["10", "11"]),
        (["08", "09", "10"], 9, ["09", "10"]),
        (["-10", "-9", "1e1", "2.5"], "-9.5", ["-9", "1e1", "2.5"]),
        ([*MONTHS, NULL], 10, ["10", "11"]),
        (["9007199254740992", "9007199254740993"], "9007199254740993", ["9007199254740993"]),
        (["2026-1-5", "2026-1-31", "2026-10-1", "2026-9-30"], "2026-9-30", ["2026-10-1", "2026-9-30"]),
        (["2026-01-31", "2026-02-01"], "2026-02", ["2026-02-01"]),
        (["2026-01-31", "2027-02-01"], 2027, ["2027-02-01"]),
        (["2026-01-31 23:00", "2026-02-01T00%3A30%3A00"], "2026-01-31 23:30", ["2026-02-01T00%3A30%3A00"]),
        (["v10", "v8", "v9"], "v8", ["v8", "v9"]),
        (["10", "9", "all"], "9", ["9", "all"]),
    ],
)
def test_since_keeps_what_comes_at_or_after_a_value(values: list[str], since: Value, left: list[str]) -> None:
    assert kept(values, since) == left


@pytest.mark.parametrize(
    ("values", "where", "left"),
    [
        (["01", "10", "2"], 1, ["01"]),
        (["1.0", "10"], "1", ["1.0"]),
        (["01", "1", "x"], "1", ["1"]),
        (["2026-01-05", "2026-02-05"], "2026-1-5", ["2026-01-05"]),
        (["New%20York", "Paris"], "New York", ["New%20York"]),
        (["New%20York", "Paris"], "New%20York", ["New%20York"]),
        (["1", NULL], NULL, [NULL]),
        (["1", "2"], "x", []),
    ],
)
def test_where_keeps_what_equals_a_value(values: list[str], where: Value, left: list[str]) -> None:
    assert kept(values, where=where) == left


@pytest.mark.parametrize(
    ("values", "since", "kind"),
    [(MONTHS, "sept", "numbers"), (["2026-01-01"], "x", "dates"), (["10", "all"], 9, "texts")],
)
def test_a_first_value_of_another_kind_is_refused(values: list[str], since: Value, kind: str) -> None:
    with pytest.raises(
        BadInput, match=rf"^generate\.since\.k is .*; the values of this partition are {kind}, give one"
    ):
        kept(values, since)


def test_files_without_the_key_are_in_no_partition_of_it() -> None:
    uris = ["/p/a.parquet", "/p/k=1/a.parquet", "/p/k=2/j=x/a.parquet"]
    assert selected(uris, {"k": 0}, {}) == (uris[1:], ["j=x", "k=1", "k=2"])
    assert selected(uris, {"m": "x"}, {})[0] == [] and selected(uris, {}, {"k": 2, "j": "x"})[0] == uris[2:]
