"""Words and characters to numbers: the vocabularies that RNNs read.

>>> vocabulary = Vocabulary.build(["a red circle", "红色圆形"], level="word")
>>> tokens, lengths = vocabulary.encode(["a red square"], max_tokens=8)
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ganrnn.errors import BadInput
from ganrnn.text.marks import MARK, mark_places

PAD, UNKNOWN = 0, 1
SPECIAL_TOKENS = ("<pad>", "<unknown>")

# Han ideographs, kana and Hangul syllables are written without spaces: each character is a word of its own.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_WORD = re.compile(f"[{UNSPACED}]{MARK}*|(?:[^\\W{UNSPACED}]|{MARK})+|[^\\w\\s]{MARK}*")

Level = Literal["word", "character"]


def tokenise(text: str, level: Level) -> list[str]:
    """Split a text after Unicode normalisation (NFKC) and case folding.

    Words are runs of letters and digits with their marks (accents, vowel signs); each ideograph and each punctuation
    mark is a token, so that English and Chinese need no separate handling. Characters are code points,
    runs of white space one blank.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    if level == "word":
        return [text[match.start() : match.end()] for match in _WORD.finditer(mark_places(text))]
    return list(" ".join(text.split()))


def meaning_key(text: str, attributes: Mapping[str, str] | Iterable[tuple[str, str]] | None = None) -> int:
    """The meaning of a caption as an int64 hash: of its attributes if it has any, else of its words.

    Captions with the same key describe the same pictures, so neither is a mismatch for the other's picture.
    """
    pairs = sorted(dict(attributes or {}).items())
    meaning = repr(pairs) if pairs else " ".join(tokenise(text, "word"))
    return int.from_bytes(hashlib.blake2b(meaning.encode(), digest_size=8).digest(), "little", signed=True)


def caption_of(attributes: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> str:
    """Attributes in words, each with its name: stands in for a caption of the picture."""
    return ", ".join(f"{name} {value}" for name, value in sorted(dict(attributes or {}).items()))


@dataclass(frozen=True)
class Vocabulary:
    """An immutable token table. Token 0 is padding, token 1 any unknown token."""

    level: Level
    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tokens[:2] != SPECIAL_TOKENS or len(set(self.tokens)) != len(self.tokens):
            raise BadInput(
                f"vocabulary: tokens must be distinct and begin with {SPECIAL_TOKENS}, not {self.tokens[:2]}"
            )
        object.__setattr__(self, "_ids", {token: i for i, token in enumerate(self.tokens)})

    @classmethod
    def build(cls, texts: Iterable[str], level: Level = "word", max_size: int = 20_000) -> "Vocabulary":
        """Collect the `max_size` most frequent tokens; ties are broken by code point, so row order does not matter."""
        counts = Counter(token for text in texts for token in tokenise(text, level))
        if not counts:
            raise BadInput("vocabulary: no token in any text; at least one caption must hold a word")
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(level, SPECIAL_TOKENS + tuple(ranked[: max_size - len(SPECIAL_TOKENS)]))

    def __len__(self) -> int:
        return len(self.tokens)

    def count_unknown(self, text: str) -> int:
        """How many of a text's tokens are not in this vocabulary."""
        ids: dict[str, int] = self._ids  # type: ignore[attr-defined]
        return sum(token not in ids for token in tokenise(text, self.level))

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Texts to padded tokens.

        Returns tokens int64 [N, max_tokens], padded with 0, and lengths int64 [N], at least 1: an empty text becomes
        one unknown token. Longer texts are cut.
        """
        ids: dict[str, int] = self._ids  # type: ignore[attr-defined]
        tokens = torch.zeros(len(texts), max_tokens, dtype=torch.int64)
        lengths = torch.ones(len(texts), dtype=torch.int64)
        for row, text in enumerate(texts):
            token_ids = [ids.get(token, UNKNOWN) for token in tokenise(text, self.level)[:max_tokens]] or [UNKNOWN]
            tokens[row, : len(token_ids)] = torch.tensor(token_ids)
            lengths[row] = len(token_ids)
        return tokens, lengths
