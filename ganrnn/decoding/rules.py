"""Decoding rules of a row; prompts may set them by columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ganrnn import exact
from ganrnn.config import within
from ganrnn.errors import BadInput


@dataclass(frozen=True)
class Decoding:
    """How one text is written.

    Finished hypotheses of beam search are ranked by log-probability over ((5 + length) / 6)^length_penalty, plus
    `coverage_penalty` times the log of how much of the source was attended to (Wu et al. 2016). With a `constraint`, an
    `alphabet` or a `pattern`, the text has its form and ends within `max_tokens`.
    """

    temperature: float = 1.0  #: Divisor of the logits; 0 takes the most likely token.
    top_k: int = 0  #: Number of most likely tokens to draw from; 0 is all.
    top_p: float = 1.0  #: Probability mass of the most likely tokens to draw from (Holtzman et al. 2020).
    #: Least probability of a token to draw, as a share of the most likely token's (Nguyen et al. 2024).
    min_p: float = 0.0
    num_beams: int = 1  #: Number of hypotheses of beam search; 1 draws or takes one token after the other.
    best: int = 0  #: Rank among the different texts of beam search of the one that is returned; 0 is the best.
    #: Exponent of ((5 + length) / 6), by which the log-probability of a finished hypothesis is divided.
    length_penalty: float = 0.0
    #: Weight of the reward that beam search gives for reading all of the source (Wu et al. 2016).
    coverage_penalty: float = 0.0
    repetition_penalty: float = 1.0  #: Divisor of the odds of tokens that the text already has (Keskar et al. 2019).
    no_repeat_ngram: int = 0  #: Length in tokens of groups that may not occur twice; 0 allows all.
    min_tokens: int = 0  #: Least number of tokens of a text.
    max_tokens: int = 256  #: Largest number of tokens that are written after the prompt, which is not counted.
    stop: tuple[str, ...] = ()  #: Texts before which the text ends, where they begin after the first `min_tokens`.
    banned: tuple[str, ...] = ()  #: Texts of tokens that may not be written, with or without a blank before them.
    #: Number from -1000 to 1000 that is added to the logit of a token, by its text.
    bias: Mapping[str, float] = field(default_factory=dict)
    #: Form that the text must have: a poem, or a molecule in SMILES.
    constraint: Literal["none", "poem", "smiles"] = "none"
    num_lines: int = 4  #: Number of lines of a poem.
    chars_per_line: int = 7  #: Number of characters in a line of a poem.
    heads: str = ""  #: First characters of a poem's lines, one per line.
    rhymes: tuple[str, ...] = ()  #: Sets of characters that rhyme, one of which ends all even lines of a poem.
    alphabet: str = ""  #: Characters that the text may have; empty allows all.
    pattern: str = ""  #: Regular expression that the text must match; empty allows all.

    @property
    def changes_logits(self) -> bool:
        """Whether a rule changes the model's logits, beyond masks."""
        return bool(self.repetition_penalty != 1.0 or self.bias or self.banned or self.no_repeat_ngram)

    def __post_init__(self) -> None:
        within("", self, temperature=(0.0, 100.0), top_k=(0, exact.MAX_TOKENS), top_p=(1e-9, 1.0), min_p=(0.0, 1.0))
        within("", self, num_beams=(1, 64), best=(0, self.num_beams - 1), length_penalty=(0.0, 10.0))
        within("", self, coverage_penalty=(0.0, 10.0), repetition_penalty=(1.0, 100.0), no_repeat_ngram=(0, 100))
        within("", self, max_tokens=(1, 100_000), min_tokens=(0, "max_tokens"))
        within("", self, num_lines=(1, 1_000), chars_per_line=(1, 1_000))
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
