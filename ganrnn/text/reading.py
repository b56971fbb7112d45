"""What a model reads of texts: what is within its window, and what its vocabulary hides."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ganrnn.text.vocabulary import UNKNOWN, TextVocabulary


@dataclass(frozen=True)
class Reading:
    """The part of some texts that a model reads, on which its likelihood is measured.

    window:           most tokens that are read of a text, its end included; 0 for a stream, which is read as a whole
    num_cut:          how many texts are longer than the model's window
    num_characters:   how many characters of the texts are read
    hidden:           of these, the pieces that became unknown tokens, and how often
    num_cut_sources:  how many sources of pairs are longer than their window
    """

    num_texts: int
    window: int
    num_cut: int
    num_characters: int
    hidden: Mapping[str, int] = field(default_factory=dict)
    num_cut_sources: int = 0


def read_rows(vocabulary: TextVocabulary, texts: Sequence[str], num_tokens: int) -> Reading:
    """What batches of rows of `num_tokens` tokens hold; a text that fits has END as its last token."""
    num_cut = num_characters = 0
    hidden = Counter[str]()
    for text in texts:
        pieces = vocabulary.pieces(text)
        num_cut += len(pieces) >= num_tokens
        read = slice(num_tokens - 1)
        num_characters += sum(map(len, pieces[read]))
        hidden.update(_unknown(pieces[read], vocabulary.encode(text)[read]))
    return Reading(len(texts), num_tokens, num_cut, num_characters, hidden)


def read_stream(vocabulary: TextVocabulary, texts: Sequence[str], num_lanes: int) -> Reading:
    """What `num_lanes` lanes of one stream hold; the first token of a lane is read without being predicted."""
    pieces = [piece for text in texts for piece in vocabulary.pieces(text)]
    tokens = [token for text in texts for token in vocabulary.encode(text)]
    lane = len(pieces) // num_lanes
    num_characters, hidden = 0, Counter[str]()
    for start in range(0, lane * num_lanes, max(1, lane)):
        read = slice(start + 1, start + lane)
        num_characters += sum(map(len, pieces[read]))
        hidden.update(_unknown(pieces[read], tokens[read]))
    return Reading(len(texts), 0, 0, num_characters, hidden)


def _unknown(pieces: Sequence[str], tokens: Sequence[int]) -> list[str]:
    return [piece for piece, token in zip(pieces, tokens, strict=True) if token == UNKNOWN]
