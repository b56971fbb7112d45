"""Which figures of texts two models may be compared by."""

from dataclasses import replace
from typing import Any

import pytest

from pipelines.formats.likelihood import LikelihoodProtocol, why_unlike

PROTOCOL = LikelihoodProtocol("nothing", "v" * 64, 64, 1_000, 5_000, 0.0, 0)
LOSS, PERPLEXITY, BITS = "loss_test", "perplexity_test", "bits_per_character_test"


@pytest.mark.parametrize(
    ("changes", "unlike"),
    [
        ({}, set()),
        ({"vocabulary_digest": "w" * 64, "unknown_share": 0.7}, {LOSS, PERPLEXITY}),
        ({"vocabulary_digest": "w" * 64, "num_characters": 4_960, "num_tokens": 900}, {LOSS, PERPLEXITY}),
        ({"window": 128}, set()),  # nothing was cut by either
        ({"window": 32, "num_characters": 2_500, "num_cut": 40}, {LOSS, PERPLEXITY, BITS}),
        ({"num_characters": 4_949}, {LOSS, PERPLEXITY, BITS}),
        ({"given": "latents"}, {LOSS, PERPLEXITY, BITS}),
    ],
)
def test_vocabulary_and_window_decide(changes: dict[str, Any], unlike: set[str]) -> None:
    other = replace(PROTOCOL, **changes)
    for a, b in ((PROTOCOL, other), (other, PROTOCOL)):
        assert {
            metric for metric in (LOSS, PERPLEXITY, BITS, "self_bleu_5", "chrf") if why_unlike(metric, a, b)
        } == unlike


def test_a_report_that_does_not_say_is_not_compared_with_one_that_does() -> None:
    for metric in (LOSS, PERPLEXITY, BITS):
        assert why_unlike(metric, PROTOCOL, None).startswith("an earlier evaluation does not say")
        assert why_unlike(metric, None, None) == ""
    assert why_unlike("chrf", None, PROTOCOL) == ""
