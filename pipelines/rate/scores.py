"""What the answers of a study say: shares with two intervals each, strengths from pairs, answers that are still needed.

    result = scores("turing", answers, sources, half_width=0.05, seed=0)

Wilson's interval takes answers for independent; the other draws raters anew, because one who is good at it is good all
along. Only answers that count go in: see `counted`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics import ratings
from ganrnn.metrics.statistics.share import Share
from pipelines.config.rate import REFERENCE, SAMPLES
from pipelines.rate.store import Answer

Interval = tuple[float, float]


@dataclass(frozen=True)
class Judged:
    """An answer that counts: whose it is, the sources that were shown, from left to right, and the choice."""

    rater: str
    sources: tuple[str, ...]
    choice: str


@dataclass(frozen=True)
class Scores:
    """Metrics by name. `intervals` are Wilson's, `intervals_by_rater` over two raters or more drawn anew, both 95 %."""

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    intervals_by_rater: dict[str, Interval] = field(default_factory=dict)
    design_effects: dict[str, float] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    answers_needed: dict[str, int] = field(default_factory=dict)


# Metric of a task -> which answers it is a share of, and which of these count as hits.
Question = tuple[Callable[[Judged], bool], Callable[[Judged], bool]]
_QUESTIONS: dict[str, dict[str, Question]] = {
    "turing": {
        "human_error_generated": (lambda a: a.sources[0] == SAMPLES, lambda a: a.choice == "real"),
        "human_error_real": (lambda a: a.sources[0] == REFERENCE, lambda a: a.choice == "generated"),
        "human_error": (lambda a: True, lambda a: (a.choice == "real") == (a.sources[0] == SAMPLES)),
    },
    "preference": {
        "human_preference": (lambda a: {SAMPLES, REFERENCE} == set(a.sources), lambda a: _winner(a) == SAMPLES),
        "human_left": (lambda a: True, lambda a: a.choice == "left"),
    },
    "fit": {
        "human_fit_generated": (lambda a: a.sources[0] == SAMPLES, lambda a: a.choice == "yes"),
        "human_fit_real": (lambda a: a.sources[0] == REFERENCE, lambda a: a.choice == "yes"),
    },
}
# The metric of a task that says how good the samples are.
MAIN = {"turing": "human_error_generated", "preference": "human_preference", "fit": "human_fit_generated"}


def counted(answers: Sequence[Answer], max_failed_checks: int) -> list[bool]:
    """Which answers count: rated ones whose item was seen, of raters who failed no more checks than that."""
    failed: dict[str, int] = defaultdict(int)
    for answer in answers:
        failed[answer.rater] += answer.kind == "check" and answer.choice != answer.expected
    return [a.kind == "rated" and a.seen and failed[a.rater] <= max_failed_checks for a in answers]


def scores(task: str, judged: Sequence[Judged], sources: Sequence[str], half_width: float, seed: int) -> Scores:
    """All metrics of a task that at least one answer is about."""
    raters = {rater: number for number, rater in enumerate(sorted({answer.rater for answer in judged}))}
    result = Scores()
    for name, (is_asked, is_hit) in _QUESTIONS[task].items():
        hits, total = np.zeros(len(raters), np.int64), np.zeros(len(raters), np.int64)
        for answer in filter(is_asked, judged):
            total[raters[answer.rater]] += 1
            hits[raters[answer.rater]] += is_hit(answer)
        _add_share(result, name, hits, total, half_width, seed)
    if task == "preference":
        _add_strengths(result, judged, sources, raters, seed)
    return result


def _add_share(result: Scores, name: str, hits: np.ndarray, total: np.ndarray, half_width: float, seed: int) -> None:
    share = Share(int(hits.sum()), int(total.sum()))
    result.answers[name] = share.total
    if not share.total:
        return
    effect = ratings.design_effect(hits, total)
    result.metrics[name] = share.value
    result.intervals[name] = share.interval()
    result.design_effects[name] = effect
    result.answers_needed[name] = ratings.sample_size(share.value, half_width, effect)
    if (total > 0).sum() > 1:
        result.intervals_by_rater[name] = ratings.share_interval(hits, total, seed)


def _add_strengths(
    result: Scores, judged: Sequence[Judged], sources: Sequence[str], raters: dict[str, int], seed: int
) -> None:
    """Log-strengths of Bradley and Terry, whose mean is 0."""
    player = {source: number for number, source in enumerate(sources)}
    wins = np.zeros((len(raters), len(player), len(player)), np.int64)
    for answer in judged:
        winner = _winner(answer)
        (loser,) = set(answer.sources) - {winner}
        wins[raters[answer.rater], player[winner], player[loser]] += 1
    try:
        strengths = ratings.bradley_terry(wins.sum(axis=0))
    except BadInput:  # some model met nobody yet
        return
    names = [f"human_strength_{source}" for source in sources]
    result.metrics.update(zip(names, map(float, strengths), strict=True))
    if len(raters) > 1:
        resampled = ratings.bradley_terry(ratings.resampled_sums(wins, seed))
        low, high = ratings.percentile_interval(resampled)
        result.intervals_by_rater.update(
            {name: (float(below), float(above)) for name, below, above in zip(names, low, high, strict=True)}
        )


def _winner(answer: Judged) -> str:
    return answer.sources[0 if answer.choice == "left" else 1]
