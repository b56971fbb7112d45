"""Whether texts differ from each other and from training texts: by n-grams, by prompt, by BLEU, by copies.

A collapsed model has few distinct n-grams and a high Self-BLEU; a model that memorised texts has many duplicates.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import fsum

import sacrebleu
from sacrebleu.metrics.bleu import BLEU

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.share import Share
from ganrnn.metrics.texts.overlap import Overlap
from ganrnn.metrics.texts.tokens import TokenKind, tokens_of
from ganrnn.noise import permutation

_NUM_ORDERS = 4


def distinct(texts: Sequence[str], n: int, level: TokenKind) -> float:
    """Distinct-n: different n-grams as a share of all n-grams, in (0, 1]; 0 when no text has n tokens.

    texts:  [N] texts, N >= 1, in any order
    n:      order of the n-grams, at least 1; n-grams do not cross the ends of texts
    level:  what a token is, see `tokens_of`

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", who divide by the number
    of tokens instead. The score falls as N grows: compare equal N. It needs all texts at once, because only sets of
    n-grams merge: about 150 bytes for each distinct n-gram.

    Raises BadInput if there is no text or n is below 1.
    """
    _check_any("distinct", texts)
    if n < 1:
        raise BadInput(f"distinct: n is {n}, at least 1 is needed")
    distinct_ngrams: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        ngrams = _ngrams(tokens_of(text, level), n)
        distinct_ngrams.update(ngrams)
        total += len(ngrams)
    return len(distinct_ngrams) / total if total else 0.0


def distinct_given_prompt(texts: Sequence[str], prompts: Sequence[str]) -> float | None:
    """Different texts as a share of the texts of one prompt, over the prompts that have several; None if none has.

    texts, prompts:  [N] texts, and which prompt each is for

    1 if no prompt has the same text twice; of n texts for each, 1 / n if they are all the same. Compare equal n.
    """
    texts_of: dict[str, list[str]] = {}
    for text, prompt in zip(texts, prompts, strict=True):
        texts_of.setdefault(prompt, []).append(text)
    several = [held for held in texts_of.values() if len(held) > 1]
    return sum(len(set(held)) for held in several) / sum(map(len, several)) if several else None


def self_bleu(texts: Sequence[str], num_sampled: int, seed: int, level: TokenKind = "word") -> Overlap:
    """Mean sentence BLEU, 0 to 100, of each sampled text against all other sampled ones: high if texts are similar.

    texts:        [N] texts, in any order
    num_sampled:  number S of texts drawn, 2 to N. More references match more: compare only scores of the same S.
    seed:         seed of the draw, which depends on the texts and not on their order
    level:        what a token is, see `tokens_of`

    Zhu et al. 2018, "Texygen", but a text is never its own reference; another text of the same words is one.
    BLEU is sacrebleu's sentence BLEU: orders 1 to 4 without those that a text is
    too short for (effective order), and exponential smoothing. An empty text scores 0.

    Raises BadInput if num_sampled is out of range.
    """
    _check_any("Self-BLEU", texts)
    if not 2 <= num_sampled <= len(texts):
        raise BadInput(f"Self-BLEU: num_sampled is {num_sampled}, allowed are 2 to {len(texts)}, the number of texts")
    in_order = sorted(texts)
    sample = [in_order[i] for i in permutation(len(texts), seed, "self-bleu")[:num_sampled]]
    tokens = [tokens_of(text, level) for text in sample]
    references_index = _References(tokens)
    scores = [references_index.bleu(text, row) for row, text in enumerate(tokens)]
    signature = (
        f"nrefs:{num_sampled - 1}|{_case(level)}|eff:yes|tok:ganrnn-{level}|smooth:exp|seed:{seed}"
        f"|version:{sacrebleu.__version__}"
    )
    return Overlap(fsum(scores) / num_sampled, signature)


def mean_bleu(texts: Sequence[str], references: Sequence[str], level: TokenKind = "word") -> Overlap:
    """Mean sentence BLEU, 0 to 100, of each text [N] against all references [R], computed as in `self_bleu`.

    Texygen's BLEU: high if a text consists of n-grams of the references. Compare only scores with the same references.
    Raises BadInput if there is no text or no reference.
    """
    _check_any("BLEU", texts)
    _check_any("BLEU", references)
    references_index = _References([tokens_of(text, level) for text in references])
    scores = [references_index.bleu(tokens_of(text, level)) for text in texts]
    signature = (
        f"nrefs:{len(references)}|{_case(level)}|eff:yes|tok:ganrnn-{level}|smooth:exp|version:{sacrebleu.__version__}"
    )
    return Overlap(fsum(scores) / len(scores), signature)


class _References:
    """The n-gram counts and lengths that BLEU needs of references [R], each a list of tokens.

    BLEU clips the count of an n-gram to its highest count in one reference. The highest count, its reference and the
    second highest count give this for all references and for all but one: one pass instead of one for each pair.
    """

    def __init__(self, texts: Sequence[list[str]]) -> None:
        self.highest: dict[tuple[str, ...], tuple[int, int, int]] = {}
        self.lengths = Counter(map(len, texts))
        for row, text in enumerate(texts):
            for gram, count in _all_ngrams(text).items():
                first, holder, second = self.highest.get(gram, (0, -1, 0))
                if count > first:
                    self.highest[gram] = (count, row, first)
                elif count > second:
                    self.highest[gram] = (first, holder, count)

    def bleu(self, text: list[str], own_row: int | None = None) -> float:
        """Sentence BLEU of a text; reference `own_row`, the text itself, is left out."""
        correct, total, size = [0] * _NUM_ORDERS, [0] * _NUM_ORDERS, len(text)
        for gram, count in _all_ngrams(text).items():
            first, holder, second = self.highest.get(gram, (0, -1, 0))
            correct[len(gram) - 1] += min(count, second if holder == own_row else first)
            total[len(gram) - 1] += count
        others = (n for n, count in self.lengths.items() if n != size or count > (own_row is not None))
        closest = min((abs(size - n), n) for n in others)[1]
        scored = BLEU.compute_bleu(correct, total, size, closest, smooth_method="exp", effective_order=True)
        return float(scored.score)


def duplicates(texts: Sequence[str], training_texts: Iterable[str]) -> Share:
    """How many texts are equal to a training text after case folding, NFKC and without regard to white space.

    texts:           [N] texts, N >= 1; the shares of blocks of texts add up
    training_texts:  any number of texts

    Raises BadInput if there is no text.
    """
    _check_any("duplicates", texts)
    normalised_training_texts = {_normalised(text) for text in training_texts}
    return Share(sum(_normalised(text) in normalised_training_texts for text in texts), len(texts))


def _all_ngrams(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(gram for n in range(1, _NUM_ORDERS + 1) for gram in _ngrams(tokens, n))


def _normalised(text: str) -> str:
    return "".join(tokens_of(text, "character"))


def _case(level: TokenKind) -> str:
    return "case:mixed" if level == "smiles" else "case:lc"


def _ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def _check_any(metric: str, texts: Sequence[str]) -> None:
    if len(texts) == 0:
        raise BadInput(f"{metric}: 0 texts, at least 1 is needed")
