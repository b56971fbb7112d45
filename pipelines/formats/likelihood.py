"""What the likelihood of held-out texts was measured on: which of its figures two models may be compared by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# Sums over tokens divided by their number, which is another one for another vocabulary.
PER_TOKEN = ("loss_test", "perplexity_test", "constraint_nats_per_token")
PER_CHARACTER = "bits_per_character_test"
_MAX_DIFFERENCE = (
    0.01  # of the numbers of characters: the lanes of a stream are cut at tokens, at others for each model
)


@dataclass(frozen=True)
class LikelihoodProtocol:
    """A model's view of the held-out texts.

    given:              what the likelihood of a text is conditioned on, besides the source of a pair
    vocabulary_digest:  of the tokens that are predicted
    window:             most tokens that are read of a text, its end included; 0 for a stream, which is read as a whole
    num_tokens, num_characters:  how many are read
    unknown_share:      of the tokens that are read
    num_cut, num_cut_sources:  how many texts, and sources of pairs, are longer than the model reads
    """

    given: str
    vocabulary_digest: str
    window: int
    num_tokens: int
    num_characters: int
    unknown_share: float
    num_cut: int
    num_cut_sources: int = 0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what a report or a version has under `likelihood`."""
        return cls(**content)


def why_unlike(metric: str, a: LikelihoodProtocol | None, b: LikelihoodProtocol | None) -> str:
    """Why a metric of texts cannot be compared between two models; empty where it can."""
    if metric not in (*PER_TOKEN, PER_CHARACTER) or a == b:
        return ""
    if a is None or b is None:
        return "an earlier evaluation does not say which vocabulary and window it read texts with"
    if a.given != b.given:
        return "one is the likelihood of texts, the other that of their reconstruction"
    if metric in PER_TOKEN and a.vocabulary_digest != b.vocabulary_digest:
        return f"it is per token, and the vocabularies differ; {PER_CHARACTER} is comparable"
    larger, smaller = max(a.num_characters, b.num_characters), min(a.num_characters, b.num_characters)
    if larger - smaller > _MAX_DIFFERENCE * larger:
        return f"one is over {larger:,} characters of the texts, the other over {smaller:,}; use windows of one length"
    return ""
