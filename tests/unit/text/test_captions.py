"""Vocabularies: English and Chinese split alike, nothing depends on row order, unknown words are counted."""

import random

import pytest

from ganrnn.errors import BadInput
from ganrnn.text.captions import Level, Vocabulary, tokenise

CAPTIONS = ["a red circle", "a blue circle, small", "红色圆形", "a Red square", "蓝色圆形"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A large  red\tcircle.", ["a", "large", "red", "circle", "."]),
        ("黑色背景上有一个red圆形", ["黑", "色", "背", "景", "上", "有", "一", "个", "red", "圆", "形"]),
        ("圆形,黑色背景", ["圆", "形", ",", "黑", "色", "背", "景"]),
        ("\uff32\uff25\uff24 \uff12\uff13", ["red", "23"]),  # full-width letters and digits
        ("Stra\u00dfe cafe\u0301", ["strasse", "caf\u00e9"]),
        ("it's 3.5", ["it", "'", "s", "3", ".", "5"]),
        ("ひらがな カタカナ 한국", ["ひ", "ら", "が", "な", "カ", "タ", "カ", "ナ", "한", "국"]),
        ("\U00020bb7野家", ["\U00020bb7", "野", "家"]),  # beyond the basic plane
        ("  \n", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokenise(text, "word") == words


def test_characters_keep_blanks_once() -> None:
    assert tokenise(" A  b\n圆 ", "character") == ["a", " ", "b", " ", "圆"]


@pytest.mark.parametrize("level", ["word", "character"])
def test_row_order_does_not_change_a_vocabulary(level: Level) -> None:
    shuffled = random.Random(0).sample(CAPTIONS, len(CAPTIONS))
    built = Vocabulary.build(CAPTIONS, level)
    assert built == Vocabulary.build(shuffled, level)


def test_frequent_tokens_come_first_and_ties_by_code_point() -> None:
    vocabulary = Vocabulary.build(["b b b", "c a", "a c", "d"], max_size=5)
    assert vocabulary.tokens == ("<pad>", "<unknown>", "b", "a", "c")
    assert len(vocabulary) == 5


def test_texts_become_padded_tokens_and_unknown_ones_are_counted() -> None:
    vocabulary = Vocabulary.build(["a red circle", "红色"])
    tokens, lengths = vocabulary.encode(["a GREEN circle", "红圆", "", "a a a a a"], max_tokens=4)
    index = vocabulary.tokens.index
    assert tokens.tolist() == [
        [index("a"), 1, index("circle"), 0],
        [index("红"), 1, 0, 0],
        [1, 0, 0, 0],
        [index("a")] * 4,
    ]
    assert lengths.tolist() == [3, 2, 1, 4]
    assert [vocabulary.count_unknown(text) for text in ("a GREEN circle", "红圆", "", "a a a a a")] == [1, 1, 0, 0]


def test_what_was_built_from_a_text_reads_it_without_unknowns() -> None:
    levels: tuple[Level, ...] = ("word", "character")
    for level in levels:
        vocabulary = Vocabulary.build(CAPTIONS, level)
        tokens, lengths = vocabulary.encode(CAPTIONS, max_tokens=40)
        assert not any(map(vocabulary.count_unknown, CAPTIONS))
        for row, length, caption in zip(tokens.tolist(), lengths.tolist(), CAPTIONS, strict=True):
            assert [vocabulary.tokens[i] for i in row[:length]] == tokenise(caption, level)
            assert row[length:] == [0] * (40 - length)


def test_a_word_spelt_like_a_special_token_is_no_special_token() -> None:
    vocabulary = Vocabulary.build(["<pad> <unknown> red"])
    tokens, _ = vocabulary.encode(["<pad>"], max_tokens=3)
    assert vocabulary.count_unknown("<pad>") == 0
    assert 0 not in tokens[0].tolist()


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_no_words_at_all_is_refused(texts: list[str]) -> None:
    with pytest.raises(BadInput, match="no token in any text"):
        Vocabulary.build(texts)


@pytest.mark.parametrize("tokens", [("a", "b"), ("<unknown>", "<pad>"), ("<pad>", "<unknown>", "a", "a")])
def test_a_table_without_special_tokens_or_with_repeats_is_refused(tokens: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="vocabulary: tokens must be distinct"):
        Vocabulary("word", tokens)
