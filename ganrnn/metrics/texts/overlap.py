"""Overlap of generated texts with reference texts: BLEU, chrF and ROUGE, from mergeable sums.

>>> bleu(["the cat sat on the mat"], [["the cat sat on a mat"]], tokenizer="13a")
Overlap(score=53.7284965911771, signature='nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0')

For many blocks of rows, add the results of `bleu_sums`, `chrf_sums` or `rouge_sums`. The sums are integers: no order
and no split of the rows changes a bit of the scores.

BLEU (Papineni et al. 2002) and chrF (Popović 2015) are computed by sacrebleu (Post 2018, "A Call for Clarity in
Reporting BLEU Scores"). ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries") is computed here,
because the usual package does not tokenise Chinese; for the same tokens both agree.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from ganrnn.errors import BadInput
from ganrnn.metrics.texts.tokens import TokenKind, tokens_of

Tokenizer = Literal["13a", "zh", "char", "none"]

MAX_ROUGE_L_TOKENS = 32_768  # of one text; later tokens are ignored
_F1_BITS = 64  # F1 is summed in units of 2^-64


@dataclass(frozen=True)
class Overlap:
    """A corpus score from 0 to 100, and sacrebleu's signature of how it was computed; compare only equal signatures."""

    score: float
    signature: str


@dataclass(frozen=True)
class OverlapSums:
    """sacrebleu's sufficient statistics of BLEU or chrF over a set of rows.

    counts: for BLEU the lengths of hypotheses and references, then matched and all n-grams of orders 1 to 4; for chrF
            the n-grams of the hypotheses, of the references and of both, for each of the orders 1 to 6
    """

    metric: Literal["BLEU", "chrF"]
    signature: str
    counts: tuple[int, ...]

    def __add__(self, other: Self) -> Self:
        """Sums of the union of two disjoint sets of rows, of the same metric and signature."""
        assert (self.metric, self.signature) == (other.metric, other.signature), (self, other)
        return type(self)(
            self.metric, self.signature, tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        )

    def overlap(self) -> Overlap:
        """The corpus score of all rows. A corpus without a single match scores 0."""
        metric = BLEU() if self.metric == "BLEU" else CHRF()
        return Overlap(float(metric._compute_score_from_stats(list(self.counts)).score), self.signature)


@dataclass(frozen=True)
class RougeSums:
    """Sums of F1 over `num_rows` rows, each F1 an integer in units of 2^-64, so that no order changes the sums."""

    num_rows: int
    rouge1: int
    rouge2: int
    rougeL: int

    def __add__(self, other: Self) -> Self:
        """Sums of the union of two disjoint sets of rows."""
        return type(self)(
            self.num_rows + other.num_rows,
            self.rouge1 + other.rouge1,
            self.rouge2 + other.rouge2,
            self.rougeL + other.rougeL,
        )

    def means(self) -> dict[str, float]:
        """Mean F1 over the rows, 0 to 1: {"rouge1": ..., "rouge2": ..., "rougeL": ...}."""
        perfect_sum = self.num_rows << _F1_BITS
        return {
            "rouge1": self.rouge1 / perfect_sum,
            "rouge2": self.rouge2 / perfect_sum,
            "rougeL": self.rougeL / perfect_sum,
        }


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenizer: Tokenizer) -> Overlap:
    """Corpus BLEU, case kept, orders 1 to 4, exponential smoothing: `bleu_sums` of all rows at once."""
    return bleu_sums(hypotheses, references, tokenizer).overlap()


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Overlap:
    """Corpus chrF2, characters of orders 1 to 6 without white space: `chrf_sums` of all rows at once."""
    return chrf_sums(hypotheses, references).overlap()


def rouge(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], level: TokenKind = "word"
) -> dict[str, float]:
    """Mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L by name, 0 to 1: `rouge_sums` of all rows at once."""
    return rouge_sums(hypotheses, references, level).means()


def bleu_sums(hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenizer: Tokenizer) -> OverlapSums:
    """BLEU's statistics of a block of rows.

    hypotheses:  [N] texts, N >= 1; an empty one matches nothing
    references:  [R][N] texts, R >= 1: references[r][n] is the r-th reference of hypotheses[n]
    tokenizer:   "13a" for languages with spaces (WMT's own), "zh" for Chinese among other words, "char" for each
                 character a token, "none" for texts that are tokenised already, with blanks

    Raises BadInput for another tokenizer, no row, no reference, lists of different lengths and rows that are not text.
    """
    if tokenizer not in get_args(Tokenizer):
        raise BadInput(f"BLEU: tokenizer is {tokenizer!r}, allowed are {', '.join(get_args(Tokenizer))}")
    _check("BLEU", hypotheses, references)
    # force: no warning about texts that look tokenised already. It changes neither score nor signature.
    return _sums("BLEU", BLEU(tokenize=tokenizer, force=True), hypotheses, references)


def chrf_sums(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> OverlapSums:
    """chrF's statistics of a block of rows; shapes and errors as in `bleu_sums`.

    A row counts with the reference of the highest score.
    """
    _check("chrF", hypotheses, references)
    return _sums("chrF", CHRF(), hypotheses, references)


def _sums(
    name: Literal["BLEU", "chrF"], metric: BLEU | CHRF, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> OverlapSums:
    rows = metric._extract_corpus_statistics(hypotheses, references)
    counts = tuple(sum(column) for column in zip(*rows, strict=True))
    return OverlapSums(name, metric.get_signature().format(), counts)


def rouge_sums(hypotheses: Sequence[str], references: Sequence[Sequence[str]], level: TokenKind = "word") -> RougeSums:
    """ROUGE's sums of a block of rows; shapes and errors as in `bleu_sums`.

    Tokens are `tokens_of(text, level)`; words are case-folded, each ideograph and each punctuation mark is a token, no
    stemming.
    Each of the three scores uses the best of several references. Texts without tokens, or with too few for an n-gram,
    score 0. ROUGE-L reads the first 32,768 tokens of a text, which limits a row to about half a second.
    """
    _check("ROUGE", hypotheses, references)
    sums = [0, 0, 0]
    for hypothesis, *targets in zip(hypotheses, *references, strict=True):
        tokens = tokens_of(hypothesis, level)
        scores = [_rouge_f1(tokens, tokens_of(target, level)) for target in targets]
        sums = [total + max(column) for total, column in zip(sums, zip(*scores, strict=True), strict=True)]
    return RougeSums(len(hypotheses), *sums)


def _rouge_f1(hypothesis: list[str], reference: list[str]) -> tuple[int, int, int]:
    """F1 of ROUGE-1, 2 and L of one pair, in units of 2^-64."""
    cut = hypothesis[:MAX_ROUGE_L_TOKENS], reference[:MAX_ROUGE_L_TOKENS]
    return (
        _f1(_common_ngrams(hypothesis, reference, 1), len(hypothesis) + len(reference)),
        _f1(_common_ngrams(hypothesis, reference, 2), max(len(hypothesis) - 1, 0) + max(len(reference) - 1, 0)),
        _f1(longest_common_subsequence(*cut), len(cut[0]) + len(cut[1])),
    )


def _f1(num_common: int, num_both: int) -> int:
    """2 P R / (P + R) for P = common / hypothesis and R = common / reference: 2 common / (hypothesis + reference)."""
    return (2 * num_common << _F1_BITS) // num_both if num_both else 0


def _common_ngrams(a: list[str], b: list[str], order: int) -> int:
    counts = [Counter(zip(*(tokens[i:] for i in range(order)), strict=False)) for tokens in (a, b)]
    return (counts[0] & counts[1]).total()


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence of two sequences of tokens.

    A row of the usual table is one integer with a bit per token of `a` (Hyyrö 2004, "Bit-Parallel LCS-length
    Computation Revisited"): len(a) * len(b) / 30 steps of C instead of len(a) * len(b) of Python.
    """
    positions: dict[str, int] = {}
    shared = set(b)
    shared_tokens = [token for token in a if token in shared]
    for i, token in enumerate(shared_tokens):
        positions[token] = positions.get(token, 0) | 1 << i
    full_row = (1 << len(shared_tokens)) - 1
    row = full_row
    for token in b:
        if matches := row & positions.get(token, 0):
            row = (row + matches | row - matches) & full_row
    return len(shared_tokens) - row.bit_count()


def _check(metric: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(hypotheses) == 0:
        raise BadInput(f"{metric}: 0 hypotheses, at least 1 is needed")
    if len(references) == 0 or any(isinstance(texts, str) for texts in references):
        raise BadInput(f"{metric}: references must be one list or several of a text for each hypothesis")
    for number, texts in enumerate(references):
        if len(texts) != len(hypotheses):
            raise BadInput(
                f"{metric}: reference list {number} has {len(texts)} texts for {len(hypotheses)} hypotheses, "
                "the numbers must be equal"
            )
    for texts in (hypotheses, *references):
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise BadInput(f"{metric}: row {row} is {text!r}, only text is allowed")
