"""A banned text is banned with and without its blank, and however it is spelled."""

import pytest

from ganrnn.decoding.banned import completing_tokens
from ganrnn.errors import BadInput
from ganrnn.text.vocabulary import SPECIAL_TOKENS, Kind, TextVocabulary


def vocabulary(kind: Kind, *tokens: str) -> TextVocabulary:
    return TextVocabulary(kind, (*SPECIAL_TOKENS, *tokens))


def completing(model: TextVocabulary, banned: str, text: tuple[str, ...] = ()) -> set[str]:
    """The surfaces of the tokens that are banned after a text."""
    tokens = [model.id_of(surface) for surface in text]
    return {model.decode([token]) for token in completing_tokens(model, banned, tokens)}


@pytest.mark.parametrize("banned", ["dog", " dog"])
def test_both_forms_are_banned(banned: str) -> None:
    words = vocabulary("word", "dog", " dog", "dogs", " cat")
    assert completing(words, banned) == {"dog", " dog"}
    assert completing(vocabulary("word", " dog", "cat"), banned) == {" dog"}


def test_no_other_spelling_gets_by() -> None:
    pieces = vocabulary("word", "dog", "d", "o", "g", "do", "og", "gs", " d")
    assert completing(pieces, "dog", (" d", "o")) == {"dog", "g", "gs"}
    assert completing(pieces, "dog", ("d",)) == {"dog", "og"}
    assert completing(pieces, "dog", ("o",)) == {"dog"}


def test_single_characters_and_blanks_are_themselves() -> None:
    characters = vocabulary("character", "a", " ", "b")
    assert completing(characters, "a", ("b",)) == {"a"} and completing(characters, " ") == {" "}


def test_what_is_no_token_in_either_form_is_refused() -> None:
    with pytest.raises(BadInput, match="'dog' is no token of the vocabulary, whose tokens are characters"):
        completing_tokens(vocabulary("character", "d", "o", "g"), "dog", ())
