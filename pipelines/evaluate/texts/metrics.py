"""Scores of written texts: likelihood of held-out ones, overlap with references, diversity, form, molecules."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganrnn.decoding.rules import Decoding
from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.share import Share
from ganrnn.metrics.texts import molecules
from ganrnn.metrics.texts.diversity import distinct, duplicates, self_bleu
from ganrnn.metrics.texts.overlap import bleu, chrf, rouge
from ganrnn.metrics.texts.poem_form import in_form, in_rhyme
from pipelines.config.evaluate import EvaluateConfig


@dataclass
class Scores:
    """`intervals` are those of proportions, `signatures` say how a score of another library was computed."""

    metrics: dict[str, float]
    intervals: dict[str, list[float]]
    signatures: dict[str, str]

    @classmethod
    def none(cls) -> "Scores":
        """To be filled."""
        return cls({}, {}, {})

    def add_share(self, name: str, share: Share) -> None:
        """A proportion with its 95 % interval."""
        self.metrics[name] = share.value
        self.intervals[name] = list(share.interval())


def likelihood(total: float, num_tokens: int, num_characters: int) -> dict[str, float]:
    """Of held-out texts, from their negative log-likelihood in nats."""
    loss = total / num_tokens
    return {
        "loss_test": loss,
        "perplexity_test": math.exp(min(loss, 700.0)),
        "bits_per_character_test": total / math.log(2) / num_characters,
    }


def diversity(texts: Sequence[str], config: EvaluateConfig, seed: int) -> Scores:
    """How different texts are from each other."""
    scores = Scores.none()
    for n in (1, 2, 3):
        scores.metrics[f"distinct{n}_{len(texts)}"] = distinct(texts, n, "word")
    num = min(config.num_self_bleu, len(texts))
    if num >= 2:
        held = self_bleu(texts, num, seed)
        scores.metrics[f"self_bleu_{num}"], scores.signatures[f"self_bleu_{num}"] = held.score, held.signature
    return scores


def overlap(texts: Sequence[str], references: Sequence[str], config: EvaluateConfig) -> Scores:
    """How much of what people wrote for the same prompts is in them."""
    found = {"bleu": bleu(texts, [references], config.bleu_tokenizer), "chrf": chrf(texts, [references])}
    metrics = {name: held.score for name, held in found.items()} | rouge(texts, [references])
    return Scores(metrics, {}, {name: held.signature for name, held in found.items()})


def memorised(texts: Sequence[str], training: Sequence[str]) -> Scores:
    """How many are texts of the training set."""
    scores = Scores.none()
    scores.add_share("in_training_set", duplicates(texts, training))
    return scores


def form(texts: Sequence[str], rules: Sequence[Decoding]) -> Scores:
    """How many poems have the form that was asked for, each by its own rules."""
    poems = [(text, rule) for text, rule in zip(texts, rules, strict=True) if rule.constraint == "poem"]
    found = sum(
        in_form(text, rule.num_lines, rule.chars_per_line, rule.heads)
        and (not rule.rhymes or in_rhyme(text, rule.chars_per_line, rule.rhymes))
        for text, rule in poems
    )
    scores = Scores.none()
    scores.add_share("in_form", Share(found, len(poems)))
    return scores


def chemistry(texts: Sequence[str], training: Sequence[str], held_out: Sequence[str]) -> Scores:
    """MOSES' scores of SMILES, and how far their fingerprints lie from those of held-out molecules."""
    made, known = molecules.canonical_smiles(texts), molecules.canonical_smiles(training)
    scores = Scores.none()
    scores.add_share("validity", molecules.validity(made))
    scores.add_share(f"unique_{len(texts)}", molecules.uniqueness(made, len(texts)))
    scores.add_share("novelty", molecules.novelty(made, set(known)))
    if scores.metrics["validity"] * len(texts) >= 2:
        scores.metrics["internal_diversity"] = molecules.internal_diversity(molecules.fingerprints(made))
        reference = molecules.fingerprint_moments(molecules.canonical_smiles(held_out))
        name = f"frechet_fingerprint_{len(texts)}"
        scores.metrics[name] = frechet_distance(molecules.fingerprint_moments(made), reference)
    return scores


def joined(parts: Sequence[Scores]) -> Scores:
    """All of some scores."""

    def merged(held: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: value for mapping in held for name, value in mapping.items()}

    return Scores(
        merged([p.metrics for p in parts]), merged([p.intervals for p in parts]), merged([p.signatures for p in parts])
    )
