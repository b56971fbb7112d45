"""The form of poems: exactly the lines, characters, marks and heads that were asked for."""

import unicodedata
from pathlib import Path

import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.texts.poem_form import in_form, in_rhyme

DATA = Path(__file__).parents[4] / "../shared/data/tang_poems"
POEM = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"


def test_a_poem_has_its_own_form_and_no_other() -> None:
    forms = [(num_lines, width) for num_lines in range(1, 9) for width in range(1, 13)]
    assert [form for form in forms if in_form(POEM, *form)] == [(4, 5)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        POEM + "\n",
        " " + POEM,
        POEM + "。",
        POEM[:-1],
        POEM[:12],
        POEM.replace("，", ","),
        POEM.replace("。", "，"),
        POEM.replace("，", "。"),
        POEM.replace("目，", "目？"),
        POEM.replace("盡，黃", "，盡黃"),
        POEM.replace("盡", "a"),
        POEM.replace("盡", "の"),
        POEM.replace("盡", "\ud800"),
        POEM.replace("盡", "●"),
        POEM.replace("盡", "盡\u0301"),
        POEM.replace("，", "，\n"),
    ],
)
def test_anything_else_is_out_of_form(text: str) -> None:
    assert not in_form(text, 4, 5)


@pytest.mark.parametrize("ideograph", ["㐀", "\U00020bb7", "\U0002ea83", "\U000323af", "〇", "々", "\uf900"])
def test_rare_ideographs_are_characters_too(ideograph: str) -> None:
    assert in_form(POEM.replace("盡", ideograph), 4, 5)


@pytest.mark.parametrize(
    ("heads", "kept"),
    [
        ("", True),
        ("白黃欲更", True),
        ("白", True),
        (" 黃", True),
        ("   更", True),
        ("    ", True),
        ("白黃更欲", False),
        ("黃", False),
        ("   樓", False),
        (".", False),  # a character of its own, not any character
        ("\ud800", False),
    ],
)
def test_lines_begin_with_their_heads(heads: str, kept: bool) -> None:
    assert in_form(POEM, 4, 5, heads) is kept


def test_a_head_that_is_no_ideograph_is_never_kept() -> None:
    assert not in_form("a" + POEM[1:], 4, 5, "a")
    assert not in_form("，" + POEM[1:], 4, 5, "，")


def test_an_odd_number_of_lines_ends_in_a_comma() -> None:
    assert in_form(POEM[:18], 3, 5) and in_form("白，", 1, 1) and not in_form("白。", 1, 1)


def test_rows_of_100_000_characters_come_to_an_end() -> None:
    assert not in_form("白" * 100_000, 4, 5)
    assert in_form("白" * 100_000 + "，" + "日" * 100_000 + "。", 2, 100_000)
    assert in_form("白日，" * 2 + "。", 1, 1) is False


@pytest.mark.parametrize(
    ("num_lines", "chars_per_line", "heads", "message"),
    [
        (0, 5, "", "0 lines of 5 characters, at least 1 of 1 is needed"),
        (4, -1, "", "4 lines of -1 characters"),
        (2, 5, "白日依", "heads are '白日依', at most 2 are allowed"),
    ],
)
def test_forms_that_cannot_be_are_refused(num_lines: int, chars_per_line: int, heads: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        in_form(POEM, num_lines, chars_per_line, heads)


def slow_check(text: str, num_lines: int, chars_per_line: int) -> bool:
    """The same by slicing and Unicode's own names."""
    lines = [text[start : start + chars_per_line + 1] for start in range(0, len(text), chars_per_line + 1)]
    return len(lines) == num_lines and all(
        len(line) == chars_per_line + 1
        and line[-1] == "，。"[i % 2]
        and all(unicodedata.name(character, "").startswith("CJK UNIFIED") for character in line[:-1])
        for i, line in enumerate(lines)
    )


def test_tang_poems_are_in_form_but_for_other_marks() -> None:
    if not DATA.is_dir():
        pytest.skip("third-party data tang_poems is not beside this checkout")
    import pyarrow.parquet as pq

    rows = pq.read_table(DATA / "train.parquet").to_pylist()
    out = [row for row in rows if not in_form(row["text"], row["lines"], row["chars_per_line"])]
    assert (len(rows), len(out)) == (35_509, 391)
    assert out == [row for row in rows if not slow_check(row["text"], row["lines"], row["chars_per_line"])]
    others = {id(row) for row in out}
    assert all(
        in_form(row["text"], row["lines"], row["chars_per_line"], row["text"][0])
        for row in rows
        if id(row) not in others
    )


@pytest.mark.parametrize(
    ("text", "rhymes", "expected"),
    [
        ("甲乙，丙東。丁戊，己同。", ("# even tone", "東同中風"), True),
        ("甲乙，丙東。丁戊，己同。", ("東 中", "同 東"), True),
        ("甲乙，丙東。丁戊，己同。", ("東中", "同風"), False),
        ("甲乙，丙東。丁戊，己東。", ("東同",), False),  # a character does not rhyme with itself
        ("甲乙，丙東。丁戊，己同。", ("#東同", " # 東同"), False),
        ("甲東，丙乙。", ("東同",), False),  # odd lines are free, even ones are not
    ],
)
def test_even_lines_rhyme_within_one_set(text: str, rhymes: tuple[str, ...], expected: bool) -> None:
    assert in_rhyme(text, 2, rhymes) is expected
