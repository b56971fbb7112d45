"""What unknown tokens cost, so that a model gains nothing by knowing fewer words.

A model gives the probability of the token UNKNOWN, not of the text that it hides. The probability of the text is that
of the token times that of its spelling, character by character, by the frequencies of characters in the training texts
with one added to each (Laplace). What the vocabulary knows is among these characters, so the charge is a little too
high rather than too low.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from ganrnn.text.vocabulary import Kind, pieces_of

_NUM_CODE_POINTS = 0x110000
_END = ""  # of a spelling


class Spelling:
    """The frequencies of characters in texts.

    Of a vocabulary of words (`kind`), a hidden piece may have several characters, and its end is charged too; of other
    vocabularies it has one.
    """

    def __init__(self, texts: Iterable[str], kind: Kind) -> None:
        self.has_ends = kind == "word"
        self.counts = Counter[str]()
        for text in texts:
            self.counts.update(text)
            if self.has_ends:
                self.counts[_END] += len(pieces_of(kind, text))
        self.total = self.counts.total() + len(self.counts) + 1  # the last one is for all characters that never occur

    def nats(self, hidden: Mapping[str, int]) -> float:
        """Minus the log of the probability of pieces of text, each with its number."""
        return math.fsum(number * self._nats(piece) for piece, number in hidden.items())

    def _nats(self, piece: str) -> float:
        symbols = [*piece, _END] if self.has_ends else list(piece)
        return sum(math.log(self.total) - self._log_weight(symbol) for symbol in symbols)

    def _log_weight(self, symbol: str) -> float:
        if count := self.counts.get(symbol, 0):
            return math.log(count + 1)
        return -math.log(_NUM_CODE_POINTS - len(self.counts))
