"""Decoding rules of a row; prompts may set them by columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ganrnn import exact
from ganrnn.errors import BadInput


@dataclass(frozen=True)
class Decoding:
    """How one row is written.

    temperature 0 takes the likeliest token. Of the others only the `top_k` likeliest, those that make up `top_p` of
    the probability (Holtzman et al. 2020) and those at least `min_p` as likely as the likeliest (Nguyen et al. 2024)
    are drawn. `num_beams` above 1 searches; finished texts are ranked by log-probability over
    ((5 + length) / 6)^length_penalty, plus `coverage_penalty` times what of the source was left unread (Wu et al.
    2016), and the text is the one after `best` better ones. `repetition_penalty` divides the odds of what was written
    already (Keskar et al. 2019), no group of `no_repeat_ngram` tokens comes twice, and a text ends before any of
    `stop`.

    A text may be held to the form of a poem (`num_lines` of `chars_per_line` characters, line i beginning with
    heads[i], even lines ending in characters of one of `rhymes`), to the syntax of SMILES, to characters of an
    `alphabet`, to a `pattern`; it then ends within `max_tokens`.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    num_beams: int = 1
    best: int = 0
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    min_tokens: int = 0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()
    bias: Mapping[str, float] = field(default_factory=dict)
    constraint: Literal["none", "poem", "smiles"] = "none"
    num_lines: int = 4
    chars_per_line: int = 7
    heads: str = ""
    rhymes: tuple[str, ...] = ()
    alphabet: str = ""
    pattern: str = ""

    @property
    def changes_logits(self) -> bool:
        """Whether a rule changes the model's logits, beyond masks."""
        return bool(self.repetition_penalty != 1.0 or self.bias or self.banned or self.no_repeat_ngram)

    def __post_init__(self) -> None:
        for name, least, most in (
            ("temperature", 0.0, 100.0),
            ("top_k", 0, exact.MOST_TOKENS),
            ("top_p", 1e-9, 1.0),
            ("min_p", 0.0, 1.0),
            ("num_beams", 1, 64),
            ("best", 0, self.num_beams - 1),
            ("length_penalty", 0.0, 10.0),
            ("coverage_penalty", 0.0, 10.0),
            ("repetition_penalty", 1.0, 100.0),
            ("no_repeat_ngram", 0, 100),
            ("max_tokens", 1, 100_000),
            ("min_tokens", 0, self.max_tokens),
        ):
            if not least <= getattr(self, name) <= most:
                raise BadInput(f"{name} is {getattr(self, name)}; allowed are values from {least} to {most}")
        if self.constraint not in ("none", "poem", "smiles"):  # it may come from a column of prompts
            raise BadInput(f"constraint is {self.constraint!r}; allowed are none, poem and smiles")
        for text, value in self.bias.items():
            if not -exact.LARGEST_LOGIT <= value <= exact.LARGEST_LOGIT:
                raise BadInput(f"bias of {text!r} is {value}; allowed are values to {exact.LARGEST_LOGIT} either way")
        if "" in self.stop:
            raise BadInput("stop holds an empty text; allowed are texts of one character at least")


def decodings(rows: Mapping[str, Sequence[Any]], num_rows: int) -> Sequence[Decoding]:
    """The rules of N prompts: their column `decoding`, or the defaults."""
    return rows.get("decoding", [Decoding()] * num_rows)
