"""What a model reads of texts: what is within its window."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganrnn.text.vocabulary import TextVocabulary


@dataclass(frozen=True)
class Reading:
    """The part of some texts that a model reads, on which its likelihood is measured.

    num_cut:          how many texts are longer than the model's window
    num_cut_sources:  the same for the sources of pairs
    num_characters:   how many characters of the texts are read
    """

    num_texts: int
    num_cut: int
    num_characters: int
    num_cut_sources: int = 0


def read_rows(vocabulary: TextVocabulary, texts: Sequence[str], num_tokens: int) -> Reading:
    """What batches of rows of `num_tokens` tokens hold; a text that fits has END as its last token."""
    num_cut = num_characters = 0
    for text in texts:
        pieces = vocabulary.pieces(text)
        num_cut += len(pieces) >= num_tokens
        num_characters += sum(map(len, pieces[: num_tokens - 1]))
    return Reading(len(texts), num_cut, num_characters)


def read_stream(vocabulary: TextVocabulary, texts: Sequence[str], num_lanes: int) -> Reading:
    """What `num_lanes` lanes of one stream hold; the first token of a lane is read without being predicted."""
    pieces = [piece for text in texts for piece in vocabulary.pieces(text)]
    lane = len(pieces) // num_lanes
    read = (pieces[start + 1 : start + lane] for start in range(0, lane * num_lanes, lane))
    return Reading(len(texts), 0, sum(len(piece) for lane_pieces in read for piece in lane_pieces))
