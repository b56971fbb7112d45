"""Vocabularies of writers: texts come back as they were, whatever their script; nothing depends on the texts' order."""

import json
import pickle
import random
from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from typing import get_args

import pytest

from ganrnn.config import from_plain
from ganrnn.errors import BadInput
from ganrnn.text.vocabulary import SPECIAL_TOKENS, UNKNOWN, Kind, PairVocabulary, TextVocabulary

KINDS: tuple[Kind, ...] = get_args(Kind)
TEXTS = [
    "low lower lowest, lowest of all",
    "newer  wider   lower \n",
    "\tBegin\r\n\n  here's 3.5% of it\u2028",
    "春江潮水连海平，海上明月共潮生。",
    "春眠 不觉晓 and a red圆形",
    "ひらがな カタカナ・한국어",
    "😀 👨‍👩‍👧 \U00020bb7野家",
    "cafe\u0301 \u0301 e\u0301\u0327 व\u093e",
    "<pad> <unknown><begin> and <end>",
    "▁low ▁ low▁",
    "C(=O)Nc1ccc(Cl)cc1",
    "\x00\x1f\xa0\u3000zero\u200bwidth\ufffd\U0010ffff",
    "",
]

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_a_text_of_known_tokens_comes_back_as_it_was(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, TEXTS)
    for text in TEXTS:
        tokens = vocabulary.encode(text)
        assert vocabulary.decode(tokens) == text
        assert vocabulary.count_unknown(text) == 0 and min(tokens, default=9) >= len(SPECIAL_TOKENS)
        assert "".join(vocabulary.surfaces[token] for token in tokens) == text  # type: ignore[attr-defined]


@kinds
def test_other_texts_of_the_same_pieces_come_back_too(kind: Kind) -> None:
    # Every character stands alone, with a blank before it and without.
    characters = sorted({character for text in TEXTS for character in text} - {" "})
    vocabulary = TextVocabulary.build(kind, [*characters, *(f" {c}" for c in characters), " ", " lower", "lower"])
    drawn = random.Random(0)
    for _ in range(300):
        words = drawn.choices([*characters, "lower"], k=8)
        # Letters that touch become one word, which is another token than each alone.
        text = "".join(word + " " * drawn.randint(kind == "word", 3) for word in words)
        assert vocabulary.decode(vocabulary.encode(text)) == text


@kinds
def test_random_texts_come_back_without_what_is_unknown(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, TEXTS)
    drawn = random.Random(1)
    for _ in range(200):
        text = "".join(chr(drawn.choice([drawn.randrange(32, 128), drawn.randrange(0x4E00, 0x9FFF)])) for _ in range(9))
        tokens = vocabulary.encode(text)
        assert vocabulary.count_unknown(text) == tokens.count(UNKNOWN)
        if not vocabulary.count_unknown(text):
            assert vocabulary.decode(tokens) == text
        elif kind == "character":
            assert vocabulary.decode(tokens) == "".join(c for c in text if c in vocabulary.tokens)


def test_tokens_of_each_kind() -> None:
    text = "how  now, brown 牛\tcow."
    surfaces = {}
    for kind in KINDS:
        vocabulary = TextVocabulary.build(kind, [text, "how how how how"])
        surfaces[kind] = [vocabulary.decode([token]) for token in vocabulary.encode(text)]
    assert surfaces["character"] == list(text)
    assert surfaces["word"] == ["how", " ", " now", ",", " brown", " 牛", "\t", "cow", "."]
    assert "how" in surfaces["subword"] and "," in surfaces["subword"] and "." in surfaces["subword"]


@kinds
def test_the_order_of_texts_does_not_matter(kind: Kind) -> None:
    expected = TextVocabulary.build(kind, TEXTS, max_size=90)
    drawn = random.Random(0)
    for _ in range(5):
        shuffled = drawn.sample(TEXTS, len(TEXTS))
        assert TextVocabulary.build(kind, (text for text in shuffled), max_size=90) == expected
    assert TextVocabulary.build(kind, TEXTS[1:], max_size=90) != expected


def test_frequent_tokens_come_first_and_ties_by_code_point() -> None:
    texts = ["b b b", "c a", " c a d"]
    assert TextVocabulary.build("word", texts).tokens == (*SPECIAL_TOKENS, " a", " b", " c", " d", "b", "c")
    assert TextVocabulary.build("character", texts).tokens == (*SPECIAL_TOKENS, " ", "b", "a", "c", "d")
    assert TextVocabulary.build("character", texts, max_size=7).tokens == (*SPECIAL_TOKENS, " ", "b", "a")


@kinds
@pytest.mark.parametrize("max_size", [5, 8, 20, 60])
def test_no_more_tokens_than_allowed(kind: Kind, max_size: int) -> None:
    vocabulary = TextVocabulary.build(kind, TEXTS, max_size)
    assert len(vocabulary) == len(vocabulary.tokens) == max_size
    assert vocabulary.tokens[:4] == SPECIAL_TOKENS
    assert any(map(vocabulary.count_unknown, TEXTS))
    for text in TEXTS:
        assert max(vocabulary.encode(text), default=0) < max_size


def test_subwords_keep_the_most_frequent_characters_when_not_all_have_room() -> None:
    texts = ["aaaa bbb cc", "dc aab"]  # 6 a, 4 b, 3 c, 3 blanks, 1 d
    assert TextVocabulary.build("subword", texts, 8).tokens == (*SPECIAL_TOKENS, " ", "a", "b", "c")
    assert TextVocabulary.build("subword", texts, 7).tokens == (*SPECIAL_TOKENS, " ", "a", "b")


def merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged_pairs: list[str] = []
    for piece in pieces:
        if merged_pairs and (merged_pairs[-1], piece) == pair:
            merged_pairs[-1] += piece
        else:
            merged_pairs.append(piece)
    return merged_pairs


def test_subwords_are_byte_pair_merges() -> None:
    text = "low" + 4 * " low" + 2 * " lower" + 6 * " newest" + 3 * " widest"
    vocabulary = TextVocabulary.build("subword", [text], 24)
    # Sennrich et al. 2016: the most frequent pair becomes one; of equals that whose tokens are the older.
    words_in_pieces = [list(word) for word in text.replace(" ", "\n ").split("\n")]
    tokens = [*SPECIAL_TOKENS, *" deilnorstw"]
    merges = []
    while len(tokens) < 24:
        counts = Counter(pair for word in words_in_pieces for pair in pairwise(word))
        pair = min(counts, key=lambda pair: (-counts[pair], *map(tokens.index, pair)))
        words_in_pieces = [merged(word, pair) for word in words_in_pieces]
        tokens.append("".join(pair))
        merges.append(pair)
    assert vocabulary.tokens == tuple(tokens) and vocabulary.merges == tuple(merges)
    pieces = list(" lowest")
    for pair in merges:
        pieces = merged(pieces, pair)
    assert [vocabulary.decode([token]) for token in vocabulary.encode(" lowest")] == pieces
    assert 1 < len(pieces) < 7


@kinds
def test_unknown_tokens_are_counted_and_decode_to_nothing(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, ["one two", "two, two one"])
    text = "one 鸟鸟, two"
    assert vocabulary.count_unknown(text) == 2
    expected = "one, two" if kind == "word" else "one , two"  # a word is unknown with the blank before it
    assert vocabulary.decode(vocabulary.encode(text)) == expected
    assert vocabulary.count_unknown("") == 0 and vocabulary.encode("") == [] and vocabulary.decode([]) == ""
    assert vocabulary.decode([0, 1, 2, 3]) == ""


@kinds
def test_text_that_looks_like_a_special_token_is_none(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, ["<pad> <end> red"] * 9)
    tokens = vocabulary.encode("<pad> <end>")
    assert vocabulary.decode(tokens) == "<pad> <end>" and min(tokens) >= len(SPECIAL_TOKENS)
    assert vocabulary.tokens[4:].count("<pad>") == 0
    for special in SPECIAL_TOKENS:
        with pytest.raises(BadInput, match=f"'{special}' is no token of the vocabulary, whose tokens are {kind}s"):
            vocabulary.id_of(special)


@kinds
def test_a_token_is_found_by_its_surface(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, TEXTS)
    for token in range(4, len(vocabulary)):
        assert vocabulary.id_of(vocabulary.decode([token])) == token
    for surface in ("", "never seen", "鸟"):
        with pytest.raises(BadInput, match="is no token of the vocabulary"):
            vocabulary.id_of(surface)


@kinds
def test_a_vocabulary_survives_json_and_pickle(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, TEXTS, max_size=150)
    plain = json.loads(json.dumps(asdict(vocabulary)))
    loaded = from_plain(TextVocabulary, plain)
    assert isinstance(loaded, TextVocabulary) and loaded == vocabulary and hash(loaded) == hash(vocabulary)
    assert (kind == "subword") == bool(vocabulary.merges)
    assert asdict(loaded) == asdict(vocabulary)
    for copied in (loaded, pickle.loads(pickle.dumps(vocabulary))):
        assert copied == vocabulary
        for text in (*TEXTS, "other 鸟 lowest"):
            assert copied.encode(text) == vocabulary.encode(text)


@kinds
@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_no_text_at_all_is_refused(kind: Kind, texts: list[str]) -> None:
    with pytest.raises(BadInput, match="every text is empty; at least one must hold a character"):
        TextVocabulary.build(kind, texts)


@kinds
def test_white_space_is_text(kind: Kind) -> None:
    vocabulary = TextVocabulary.build(kind, ["", " \n\t  "])
    assert vocabulary.decode(vocabulary.encode("\n  \t ")) == "\n  \t "


@kinds
@pytest.mark.parametrize("max_size", [-1, 0, 4])
def test_a_table_without_room_is_refused(kind: Kind, max_size: int) -> None:
    with pytest.raises(BadInput, match=f"task.max_vocabulary is {max_size}; allowed are values above 4"):
        TextVocabulary.build(kind, TEXTS, max_size)


@kinds
@pytest.mark.parametrize("text", ["a\ud800b", "\udc00", "\udfff\ud83d"])
def test_half_a_surrogate_pair_is_refused_or_unknown(kind: Kind, text: str) -> None:
    with pytest.raises(BadInput, match="half a surrogate pair, which no file can hold"):
        TextVocabulary.build(kind, ["plain", text])
    vocabulary = TextVocabulary.build(kind, ["plain", "a b"])
    if kind == "subword":
        with pytest.raises(BadInput, match="half a surrogate pair, which no file can hold"):
            vocabulary.encode(text)
    else:
        assert vocabulary.count_unknown(text) >= 1


@pytest.mark.parametrize("tokens", [("a", "b"), (*SPECIAL_TOKENS[::-1], "a"), (*SPECIAL_TOKENS, "a", "a")])
def test_a_table_without_special_tokens_or_with_repeats_is_refused(tokens: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="vocabulary: tokens must be distinct"):
        TextVocabulary("character", tokens)


PAIRS = [("a red circle", "红色圆形"), ("two blue squares", "两个蓝色方形"), ("a blue circle", "蓝色圆形 blue")]


@kinds
def test_each_side_of_pairs_has_its_own_tokens_or_both_have_the_same(kind: Kind) -> None:
    sources, targets = zip(*PAIRS, strict=True)
    separate = PairVocabulary.build(kind, (pair for pair in PAIRS), 40, shared=False)
    assert separate.source == TextVocabulary.build(kind, sources, 40)
    assert separate.target == TextVocabulary.build(kind, targets, 40)
    assert separate.sides == (separate.source, separate.target) and separate.source != separate.target
    assert separate.source.count_unknown(targets[0]) > 0 < separate.target.count_unknown(sources[0])
    shared = PairVocabulary.build(kind, (pair for pair in PAIRS), 80, shared=True)
    assert shared.sides == (TextVocabulary.build(kind, [*targets, *sources], 80),)
    assert shared.source is shared.target
    for text in (*sources, *targets):
        assert shared.target.decode(shared.source.encode(text)) == text


def test_tokens_of_both_sides_are_counted_together_where_they_share_a_table() -> None:
    pairs = [("a b", "b b"), ("c", "b c")]
    shared = PairVocabulary.build("character", pairs, 40, shared=True)
    assert shared.source.tokens == (*SPECIAL_TOKENS, "b", " ", "c", "a")
    separate = PairVocabulary.build("character", pairs, 40, shared=False)
    assert separate.source.tokens == (*SPECIAL_TOKENS, " ", "a", "b", "c")
    assert separate.target.tokens == (*SPECIAL_TOKENS, "b", " ", "c")
    # Each table, not both together, has as many tokens as allowed.
    assert [len(side) for side in PairVocabulary.build("character", pairs, 6, shared=False).sides] == [6, 6]
    assert [len(side) for side in PairVocabulary.build("character", pairs, 6, shared=True).sides] == [6]


@kinds
@pytest.mark.parametrize("shared", [False, True])
def test_a_vocabulary_of_pairs_depends_on_no_order_and_survives_json_and_pickle(kind: Kind, shared: bool) -> None:
    vocabulary = PairVocabulary.build(kind, PAIRS, 30, shared)
    assert PairVocabulary.build(kind, PAIRS[::-1], 30, shared) == vocabulary
    assert PairVocabulary.build(kind, PAIRS[1:], 30, shared) != vocabulary
    loaded = from_plain(PairVocabulary, json.loads(json.dumps(asdict(vocabulary))))
    assert isinstance(loaded, PairVocabulary)
    for copied in (loaded, pickle.loads(pickle.dumps(vocabulary))):
        assert copied == vocabulary and hash(copied) == hash(vocabulary) and len(copied.sides) == 2 - shared
        assert (copied.source is copied.target) == shared
        for text in PAIRS[0]:
            assert copied.source.encode(text) == vocabulary.source.encode(text)
            assert copied.target.encode(text) == vocabulary.target.encode(text)


@kinds
@pytest.mark.parametrize(("pairs", "shared"), [([("a", "")], False), ([("", "a")], False), ([("", "")], True)])
def test_a_side_without_any_text_is_refused(kind: Kind, pairs: list[tuple[str, str]], shared: bool) -> None:
    with pytest.raises(BadInput, match="every text is empty; at least one must hold a character"):
        PairVocabulary.build(kind, pairs, 40, shared)


@pytest.mark.parametrize("shared", [False, True])
def test_no_pair_at_all_is_refused(shared: bool) -> None:
    with pytest.raises(BadInput, match="every text is empty; at least one must hold a character"):
        PairVocabulary.build("word", [], 40, shared)
