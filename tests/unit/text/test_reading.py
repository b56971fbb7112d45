"""How many characters of texts a model reads, by hand for each kind of token."""

import pytest

from ganrnn.text.reading import Reading, read_rows, read_stream
from ganrnn.text.vocabulary import Kind, TextVocabulary

TEXTS = ["a cat", "a dog sat", "", "naïve 猫 cat, sat"]


@pytest.mark.parametrize(
    ("kind", "num_tokens", "expected"),
    [
        ("character", 100, (0, 30)),
        ("character", 6, (2, 5 + 5 + 0 + 5)),  # a text of 5 characters and END fills 6 tokens
        ("character", 5, (3, 4 + 4 + 0 + 4)),
        ("word", 3, (2, len("a cat") + len("a dog") + 0 + len("naïve 猫"))),
        ("word", 1, (3, 0)),
    ],
)
def test_what_a_window_holds_is_counted(kind: Kind, num_tokens: int, expected: tuple[int, int]) -> None:
    reading = read_rows(TextVocabulary.build(kind, TEXTS), TEXTS, num_tokens)
    assert reading == Reading(4, num_tokens, *expected)


@pytest.mark.parametrize("kind", ["character", "word", "subword"])
def test_an_unknown_token_counts_for_the_characters_that_it_hides(kind: Kind) -> None:
    vocabulary, text = TextVocabulary.build(kind, ["a cat", "a cat"]), "a zebra, a 猫"
    pieces = vocabulary.pieces(text)
    assert "".join(pieces) == text and len(pieces) == len(vocabulary.encode(text))
    reading = read_rows(vocabulary, [text], 100)
    assert reading.num_characters == len(text)
    hidden = {"word": {" zebra": 1, ",": 1, " a": 1, " 猫": 1}}.get(kind, dict.fromkeys("zebr,猫", 1))
    assert reading.hidden == hidden and reading.hidden.total() == vocabulary.count_unknown(text)  # type: ignore[attr-defined]
    assert not read_rows(vocabulary, [text], 2).hidden, "what is cut is not read"


def test_the_first_token_of_a_lane_is_not_predicted() -> None:
    vocabulary = TextVocabulary.build("word", TEXTS)  # "a", " cat", "a", " dog", " sat" and so on: 10 tokens
    assert read_stream(vocabulary, TEXTS, 1) == Reading(4, 0, 0, 29)
    assert read_stream(vocabulary, TEXTS, 3).num_characters == len(" cata") + len(" satnaïve") + len(" cat,")
