"""Scores of texts whose rows ask for different things."""

from ganrnn.decoding.rules import Decoding
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
