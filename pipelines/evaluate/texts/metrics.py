"""Scores of texts: likelihood of held-out ones, overlap with references, diversity, form, molecules."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ganrnn.decoding.rules import Decoding
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.intervals import Interval
from ganrnn.metrics.statistics.share import Share
from ganrnn.metrics.texts import molecules
from ganrnn.metrics.texts.diversity import distinct, distinct_given_prompt, duplicates, self_bleu
from ganrnn.metrics.texts.molecules import CanonicalSmiles
from ganrnn.metrics.texts.overlap import bleu, chrf, rouge
from ganrnn.metrics.texts.poem_form import in_form, in_rhyme
from ganrnn.metrics.texts.tokens import TokenKind
from ganrnn.text.reading import Reading
from pipelines.config.evaluate import EvaluateConfig
from pipelines.formats.likelihood import PER_CHARACTER

_FEWEST_MOLECULES = 2  # for a distance


@dataclass(frozen=True)
class TextScores:
    """Metrics by name.

    intervals:   95 %, of proportions
    signatures:  how a score of another library was computed
    marks:       why a metric is not what its name says
    """

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    signatures: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    def add_share(self, name: str, share: Share) -> None:
        """A proportion with its 95 % interval."""
        self.metrics[name] = share.value
        self.intervals[name] = share.interval()


def likelihood(total: float, num_tokens: int, reading: Reading, hidden_nats: float) -> TextScores:
    """Scores of the likelihood of what is read of held-out texts: `total` is its negative logarithm in nats.

    hidden_nats:  what the spellings of unknown tokens cost, see `Spelling`
    """
    loss = total / num_tokens
    scores = TextScores({"loss_test": loss, "perplexity_test": math.exp(min(loss, 700.0))})
    if reading.num_characters:
        scores.metrics[PER_CHARACTER] = (total + hidden_nats) / math.log(2) / reading.num_characters
    sentences = [
        f"{num_cut:,} of {reading.num_texts:,} {what} are longer than the model reads and were cut"
        for num_cut, what in ((reading.num_cut, "texts"), (reading.num_cut_sources, "sources"))
        if num_cut
    ]
    if num_unknown := sum(reading.hidden.values()):
        sentences.append(f"{num_unknown:,} of {num_tokens:,} tokens are unknown, and bits per character pay for them")
    if sentences:
        scores.marks.update(dict.fromkeys(scores.metrics, "; ".join(sentences)))
    return scores


def token_kind(config: EvaluateConfig) -> TokenKind:
    """What n-grams are made of."""
    return "smiles" if config.molecules else "word"


def diversity(texts: Sequence[str], config: EvaluateConfig, seed: int) -> TextScores:
    """How different texts are from each other."""
    scores, level = TextScores(), token_kind(config)
    for n in (1, 2, 3):
        scores.metrics[f"distinct{n}_{len(texts)}"] = distinct(texts, n, level)
    num = min(config.num_self_bleu, len(texts))
    if num >= 2:
        among = self_bleu(texts, num, seed, level)
        scores.metrics[f"self_bleu_{num}"], scores.signatures[f"self_bleu_{num}"] = among.score, among.signature
    return scores


def diversity_given_prompt(texts: Sequence[str], prompt_ids: Sequence[str], config: EvaluateConfig) -> TextScores:
    """How many different texts a prompt has; nothing where no prompt has several."""
    written = _molecules_or_texts(texts) if config.molecules else texts
    share = distinct_given_prompt(written, prompt_ids)
    return TextScores() if share is None else TextScores({"distinct_given_prompt": share})


def overlap(texts: Sequence[str], references: Sequence[str], config: EvaluateConfig) -> TextScores:
    """Overlap with the human references for the same prompts."""
    overlaps = {"bleu": bleu(texts, [references], config.bleu_tokenizer), "chrf": chrf(texts, [references])}
    metrics = {name: each.score for name, each in overlaps.items()} | rouge(texts, [references], token_kind(config))
    return TextScores(metrics, {}, {name: each.signature for name, each in overlaps.items()})


def memorised(texts: Sequence[str], training: Sequence[str], config: EvaluateConfig) -> TextScores:
    """The share of texts that are also in the training set; molecules are the same in any spelling of SMILES."""
    scores = TextScores()
    if config.molecules:
        known = set(_molecules_or_texts(training)) if training else set()
        scores.add_share(
            "in_training_set", Share(sum(each in known for each in _molecules_or_texts(texts)), len(texts))
        )
    else:
        scores.add_share("in_training_set", duplicates(texts, training))
    return scores


def _molecules_or_texts(texts: Sequence[str]) -> list[str]:
    return [molecule or text for text, molecule in zip(texts, molecules.canonical_smiles(texts), strict=True)]


def form(texts: Sequence[str], rules: Sequence[Decoding]) -> TextScores:
    """The share of poems that have the requested form, each by its own rules."""
    poems = [(text, rule) for text, rule in zip(texts, rules, strict=True) if rule.constraint == "poem"]
    num_in_form = sum(
        in_form(text, rule.num_lines, rule.chars_per_line, rule.heads)
        and (not rule.rhymes or in_rhyme(text, rule.chars_per_line, rule.rhymes))
        for text, rule in poems
    )
    scores = TextScores()
    scores.add_share("in_form", Share(num_in_form, len(poems)))
    return scores


def chemistry(texts: Sequence[str], training: Sequence[str], held_out: Sequence[str]) -> TextScores:
    """The scores of MOSES for SMILES, and the distance of their fingerprints from those of held-out molecules."""
    generated, known = molecules.canonical_smiles(texts), molecules.canonical_smiles(training)
    scores = TextScores()
    scores.add_share("validity", molecules.validity(generated))
    scores.add_share(f"unique_{len(texts)}", molecules.uniqueness(generated, len(texts)))
    scores.add_share("novelty", molecules.novelty(generated, set(known)))
    if _num_valid(generated) >= _FEWEST_MOLECULES:
        scores.metrics["internal_diversity"] = molecules.internal_diversity(molecules.fingerprints(generated))
    scores.metrics.update(fingerprint_distance(texts, held_out))
    return scores


def fingerprint_distance(texts: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    """The Fréchet distance of fingerprints by its name; nothing where one side has fewer than two molecules."""
    sides = [molecules.canonical_smiles(side) if side else [] for side in (texts, others)]
    if min(map(_num_valid, sides)) < _FEWEST_MOLECULES:
        return {}
    return {f"frechet_fingerprint_{len(texts)}": frechet_distance(*map(molecules.fingerprint_moments, sides))}


def _num_valid(canonical: Sequence[CanonicalSmiles | None]) -> int:
    return sum(molecule is not None for molecule in canonical)


def joined(parts: Sequence[TextScores]) -> TextScores:
    """The scores of all parts together."""
    scores = TextScores()
    for part in parts:
        scores.metrics.update(part.metrics)
        scores.intervals.update(part.intervals)
        scores.signatures.update(part.signatures)
        scores.marks.update(part.marks)
    return scores
