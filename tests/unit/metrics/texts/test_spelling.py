"""The spelling of unknown tokens: by hand, as a distribution, and as what keeps a small vocabulary from winning."""

import math

import numpy as np
import pytest

from ganrnn.metrics.texts.spelling import Spelling
from ganrnn.text.reading import read_rows
from ganrnn.text.vocabulary import END, UNKNOWN, Kind, TextVocabulary


def test_characters_cost_their_frequency_with_one_added() -> None:
    spelling = Spelling(["aab", "a"], "character")  # a 3, b 1, others 0: weights 4, 2, 1
    assert spelling.nats({"a": 1}) == pytest.approx(math.log(7 / 4))
    assert spelling.nats({"a": 2, "b": 3}) == pytest.approx(2 * math.log(7 / 4) + 3 * math.log(7 / 2))
    assert spelling.nats({"猫": 1}) == pytest.approx(math.log(7 * (0x110000 - 2)))
    assert spelling.nats({}) == 0


def test_a_word_pays_for_its_end() -> None:
    spelling = Spelling(["ab ab", "ab"], "word")  # a 3, b 3, a blank, and 3 ends of "ab", " ab", "ab"
    weights = {"a": 4, "b": 4, " ": 2, "end": 4, "others": 1}
    total = sum(weights.values())
    assert spelling.nats({" b": 1}) == pytest.approx(math.log(total / 2) + 2 * math.log(total / 4))


@pytest.mark.parametrize("kind", ["character", "word"])
def test_all_characters_together_have_probability_1(kind: Kind) -> None:
    spelling, ends = Spelling(["some letters", "and more"], kind), math.log(1)
    if kind == "word":
        ends = spelling.nats({"": 1})  # the empty spelling is its end alone
    seen = set("some lettersand more")
    known = sum(math.exp(ends - spelling.nats({character: 1})) for character in seen)
    others = (0x110000 - len(seen) - (kind == "word")) * math.exp(ends - spelling.nats({"猫": 1}))
    assert known + others + (math.exp(-ends) if kind == "word" else 0) == pytest.approx(1)


def test_a_model_that_knows_fewer_characters_pays_more() -> None:
    texts = ["the river bends and falls over stones", "grey herons wait for small fish"] * 4
    spelling, costs, per_token = Spelling(texts, "character"), [], []
    for size in (30, 12, 8, 6, 5):
        vocabulary = TextVocabulary.build("character", texts, size)
        tokens = [token for text in texts for token in [*vocabulary.encode(text), END]]
        numbers = np.bincount(tokens)
        total = -sum(number * math.log(number / len(tokens)) for number in numbers if number)
        reading = read_rows(vocabulary, texts, 100)
        assert sum(reading.hidden.values()) == tokens.count(UNKNOWN)
        costs.append(total + spelling.nats(reading.hidden))
        per_token.append(total / len(tokens))
    assert costs[0] < 0.99 * min(costs[1:])
    assert per_token == sorted(per_token, reverse=True), "per token, a model wins that knows nothing"
