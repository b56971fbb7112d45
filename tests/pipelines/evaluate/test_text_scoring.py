"""Scores of texts whose rows ask for different things."""

import math
from typing import Any

import pytest

from ganrnn.decoding.rules import Decoding
from ganrnn.text.reading import Reading
from pipelines.evaluate.texts import metrics


def test_each_poem_is_held_to_its_own_form_and_prose_to_none() -> None:
    texts = ["白日依山盡，黃河入海流。", "白日依山盡，黃河入海流。", "prose"]
    rules = [
        Decoding(constraint="poem", num_lines=2, chars_per_line=5),
        Decoding(constraint="poem", num_lines=2, chars_per_line=5, heads="月"),
        Decoding(),
    ]
    scores = metrics.form(texts, rules)
    assert scores.metrics == {"in_form": 0.5}
    assert [round(bound, 4) for bound in scores.intervals["in_form"]] == [0.0945, 0.9055]


def reading(**changes: Any) -> Reading:
    return Reading(**{"num_texts": 5, "window": 9, "num_cut": 0, "num_characters": 16} | changes)


def test_figures_per_character_are_over_the_characters_that_were_read() -> None:
    scores = metrics.likelihood(40 * math.log(2), 20, reading(), 0.0)
    assert scores.metrics == pytest.approx(
        {"loss_test": 2 * math.log(2), "perplexity_test": 4, "bits_per_character_test": 2.5}
    )
    assert scores.marks == {}


def test_unknown_tokens_pay_for_what_they_hide_per_character() -> None:
    scores = metrics.likelihood(40 * math.log(2), 20, reading(hidden={"x": 2, "y": 1}), 8 * math.log(2))
    assert scores.metrics["bits_per_character_test"] == pytest.approx(3.0)
    assert scores.metrics["loss_test"] == pytest.approx(2 * math.log(2))
    mark = "3 of 20 tokens are unknown, and bits per character pay for them"
    assert scores.marks == dict.fromkeys(scores.metrics, mark)


def test_texts_that_were_cut_are_counted() -> None:
    scores = metrics.likelihood(1.0, 20, reading(num_cut=3, num_cut_sources=1), 0.0)
    sentence = "3 of 5 texts are longer than the model reads and were cut"
    assert scores.marks == dict.fromkeys(
        scores.metrics, f"{sentence}; 1 of 5 sources are longer than the model reads and were cut"
    )


def test_without_a_character_there_is_no_figure_per_character() -> None:
    assert "bits_per_character_test" not in metrics.likelihood(1.0, 2, reading(num_characters=0), 0.0).metrics
