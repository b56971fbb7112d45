"""What one module hands to another has a type, or a reason in tests/structure/hand_overs.py."""

from pathlib import Path

from tests.structure.hand_overs import REASONS, UNTYPED, annotations, untyped


def test_a_dictionary_of_anything_is_handed_over_only_with_a_reason() -> None:
    assert sorted(untyped()) == sorted(REASONS)


def test_public_signatures_are_looked_at(tmp_path: Path) -> None:
    lines = [
        "class A:",
        "    field: Mapping[str, Any]",
        "    def __init__(self, rows: dict[str, list[Any]], more: dict) -> None: ...",
        "    def to_json(self) -> dict[str, Any]: ...",
        "def public(x: int, *, y: dict[str, Any] | None) -> Mapping[str, int]: ...",
        "def _private(x: dict[str, Any]) -> None: ...",
    ]
    (tmp_path / "file.py").write_text("\n".join(lines))
    places = [name for name, annotation in annotations(tmp_path / "file.py") if UNTYPED.search(annotation)]
    assert places == ["A.field", "A.__init__(more)", "public(y)"]
