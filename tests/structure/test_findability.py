"""The places of twenty changes exist, and are found: tests/structure/findability.py says how."""

import pytest

from tests.structure.findability import CHANGES, FOUND_BY_READER, FOUND_BY_SEARCH, found_by_reader, found_by_search
from tests.structure.layout import ROOT


@pytest.mark.parametrize("change", CHANGES, ids=[change["words"] for change in CHANGES])
def test_the_file_of_a_change_exists(change: dict[str, object]) -> None:
    for path in (*change["files"], *change["opened"]):  # type: ignore[misc]
        assert (ROOT / path).is_file(), path


def test_changes_are_found_in_two_openings() -> None:
    assert len(CHANGES) == 20
    assert found_by_reader() >= FOUND_BY_READER
    assert found_by_search() >= FOUND_BY_SEARCH
