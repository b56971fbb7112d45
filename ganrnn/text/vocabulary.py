"""Lossless vocabularies: texts to tokens and back, for RNNs that generate text (captions: `ganrnn/text/captions.py`).

>>> vocabulary = TextVocabulary.build("character", ["how now", "brown cow"])
>>> vocabulary.decode(vocabulary.encode("brown now"))
'brown now'

A token's surface is the piece of text that it stands for; a text is the concatenation of its tokens' surfaces.
"""

import hashlib
import importlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ganrnn.errors import BadInput
from ganrnn.text.captions import UNSPACED
from ganrnn.text.marks import MARK, mark_places

PAD, UNKNOWN, BEGIN, END = range(4)
SPECIAL_TOKENS = ("<pad>", "<unknown>", "<begin>", "<end>")
# A word with the blank before it, an ideograph, a punctuation mark, or any other white space; marks of letters stay.
_PIECES = re.compile(f" ?[{UNSPACED}]{MARK}*| ?(?:[^\\W{UNSPACED}]|{MARK})+| ?[^\\w\\s]{MARK}*|\\s")

Kind = Literal["character", "word", "subword"]


@dataclass(frozen=True)
class TextVocabulary:
    """An immutable token table: code points, words with the blank before them, or subwords by byte pair encoding.

    `merges` are pairs of subwords in the order in which they are merged (Sennrich et al. 2016).
    """

    kind: Kind
    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS or len(set(self.tokens)) != len(self.tokens):
            raise BadInput(f"vocabulary: tokens must be distinct and begin with {SPECIAL_TOKENS}")
        _check("".join(self.tokens))
        object.__setattr__(self, "_ids", {token: i for i, token in enumerate(self.tokens)})
        object.__setattr__(self, "surfaces", ("",) * len(SPECIAL_TOKENS) + self.tokens[len(SPECIAL_TOKENS) :])
        if self.kind == "subword":
            tokenizer = _subwords().tokenizer_of(self._ids, self.merges, SPECIAL_TOKENS[UNKNOWN])  # type: ignore[attr-defined]
            object.__setattr__(self, "_subwords", tokenizer)

    @classmethod
    def build(cls, kind: Kind, texts: Iterable[str], max_size: int = 20_000) -> "TextVocabulary":
        """The vocabulary of the most frequent tokens; ties are broken by code point, not by the order of texts.

        Raises BadInput if all texts are empty or `max_size` leaves no room beside the special tokens.
        """
        if max_size <= len(SPECIAL_TOKENS):
            raise BadInput(f"task.max_vocabulary is {max_size}; allowed are values above {len(SPECIAL_TOKENS)}")
        text_list = list(texts)
        counts = Counter(piece for text in text_list for piece in pieces_of(kind, text))
        if not counts:
            raise BadInput("vocabulary: every text is empty; at least one must hold a character")
        ranked = sorted(counts.keys() - set(SPECIAL_TOKENS), key=lambda token: (-counts[token], token))
        most_frequent = ranked[: max_size - len(SPECIAL_TOKENS)]
        if kind != "subword":
            return cls(kind, SPECIAL_TOKENS + tuple(most_frequent))
        _check("".join(counts))
        return cls("subword", *_subwords().train(text_list, most_frequent, SPECIAL_TOKENS, max_size))

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; pieces that are not in the vocabulary become UNKNOWN."""
        if self.kind == "subword":
            _check(text)
            token_ids: list[int] = self._subwords.encode(text).ids  # type: ignore[attr-defined]
            return token_ids
        ids: dict[str, int] = self._ids  # type: ignore[attr-defined]
        return [ids.get(piece, UNKNOWN) for piece in pieces_of(self.kind, text)]

    @property
    def digest(self) -> str:
        """The sha256 of the tokens and merges."""
        content = json.dumps([self.kind, self.tokens, self.merges])
        return hashlib.sha256(content.encode()).hexdigest()

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text that its tokens stand for, one for each token of `encode`."""
        if self.kind == "subword":
            _check(text)
            return [text[start:stop] for start, stop in self._subwords.encode(text).offsets]  # type: ignore[attr-defined]
        return list(pieces_of(self.kind, text))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special tokens have no surface."""
        surfaces: tuple[str, ...] = self.surfaces  # type: ignore[attr-defined]
        return "".join(surfaces[token] for token in tokens)

    def count_unknown(self, text: str) -> int:
        """How many of a text's tokens are UNKNOWN."""
        return self.encode(text).count(UNKNOWN)

    def find(self, surface: str) -> int | None:
        """The token with a surface, None if there is none."""
        ids: dict[str, int] = self._ids  # type: ignore[attr-defined]
        return None if surface in SPECIAL_TOKENS else ids.get(surface)

    def id_of(self, surface: str) -> int:
        """The token with a surface. Raises BadInput if there is none."""
        if (token := self.find(surface)) is None:
            raise BadInput(f"{surface!r} is no token of the vocabulary, whose tokens are {self.kind}s")
        return token


def pieces_of(kind: Kind, text: str) -> Sequence[str]:
    """Words of a text, or characters, from which subwords are merged."""
    if kind != "word":
        return text
    return [text[match.start() : match.end()] for match in _PIECES.finditer(mark_places(text))]


def _subwords() -> Any:
    """Imported on use: training on characters or words does not need the library tokenizers."""
    return importlib.import_module("ganrnn.text.subwords")


def _check(text: str) -> None:
    """Raises BadInput for half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise BadInput(f"a text holds {text[problem.start]!r}, half a surrogate pair, which no file can hold") from None


@dataclass(frozen=True)
class PairVocabulary:
    """The vocabularies of sources and targets, or one for both."""

    sides: tuple[TextVocabulary, ...]

    @classmethod
    def build(cls, kind: Kind, pairs: Iterable[tuple[str, str]], max_size: int, shared: bool) -> "PairVocabulary":
        """The vocabularies of (source, target) texts; see `TextVocabulary.build`."""
        pair_list = list(pairs)
        sources, targets = [source for source, _ in pair_list], [target for _, target in pair_list]
        sides = [sources + targets] if shared else [sources, targets]
        return cls(tuple(TextVocabulary.build(kind, texts, max_size) for texts in sides))

    @property
    def source(self) -> TextVocabulary:
        """The vocabulary of sources."""
        return self.sides[0]

    @property
    def target(self) -> TextVocabulary:
        """The vocabulary of targets."""
        return self.sides[-1]
