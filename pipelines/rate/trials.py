"""Which items a rater sees in which order: a function of the study's seed and the rater, and therefore not stored.

    design = Design(rate, seed, {"samples": [0, 1, 2], "reference": [3, 4, 5]})
    design.trials(rater)

Practice comes first and takes items that no rated trial has; checks are spread over the rest, one in each equal part.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ganrnn import noise
from ganrnn.errors import BadInput
from pipelines.config.rate import REFERENCE, SAMPLES, RateConfig

CHOICES = {"turing": ("real", "generated"), "preference": ("left", "right"), "fit": ("yes", "no")}
_TRUTH = {SAMPLES: "generated", REFERENCE: "real"}


@dataclass(frozen=True)
class Trial:
    """One question: about an item, about one left and one right, or a check without any.

    `expected` is the answer that is right, where there is one: of checks, and of Turing tests.
    """

    kind: Literal["practice", "check", "rated"]
    items: tuple[int, ...]
    expected: str | None


class Design:
    """All trials of all raters. `pools` holds the item numbers of each source, for pairs in the order of prompts."""

    def __init__(self, rate: RateConfig, seed: int, pools: Mapping[str, Sequence[int]]) -> None:
        self.rate, self.seed, self._pools = rate, seed, pools
        self._couples = list(itertools.combinations(pools, 2))
        self._require_enough()

    def trials(self, rater: str) -> list[Trial]:
        """The rater's questions from first to last."""
        rate = self.rate
        questions = self._pairs(rater) if rate.task == "preference" else self._single(rater)
        practice = [Trial("practice", *each) for each in questions[: rate.num_practice]]
        rated = [Trial("rated", *each) for each in questions[rate.num_practice :]]
        choices = CHOICES[rate.task]
        chance = noise.uniform(2 * rate.num_checks, "rate checks", self.seed, rater)
        for number in reversed(range(rate.num_checks)):
            part = rate.num_items / rate.num_checks
            position = int(part * (number + float(chance[2 * number])))
            rated.insert(position, Trial("check", (), choices[int(chance[2 * number + 1] * 2)]))
        return practice + rated

    def _single(self, rater: str) -> list[tuple[tuple[int, ...], str | None]]:
        """Generated and real items, half and half, practice from the end of each pool."""
        truth = _TRUTH if self.rate.task == "turing" else {}
        questions: list[tuple[tuple[int, ...], str | None]] = []
        for part, count in (("practice", self.rate.num_practice), ("rated", self.rate.num_items)):
            chosen = []
            for source, pool in self._pools.items():
                num_practice = _half(self.rate.num_practice)
                items = pool[len(pool) - num_practice :] if part == "practice" else pool[: len(pool) - num_practice]
                num_items = _half(count) if source == SAMPLES else count // 2
                order = noise.permutation(len(items), "rate items", self.seed, rater, part, source)[:num_items]
                chosen += [((items[i],), truth.get(source)) for i in order]
            questions += [chosen[i] for i in noise.permutation(len(chosen), "rate order", self.seed, rater, part)]
        return questions

    def _pairs(self, rater: str) -> list[tuple[tuple[int, ...], str | None]]:
        """Prompts with two of the sources each, sides by chance; couples take turns as far as prompts go."""
        rate, num_prompts = self.rate, len(self._pools[SAMPLES])
        first_practice = num_prompts - min(rate.num_practice, num_prompts)
        questions: list[tuple[tuple[int, ...], str | None]] = []
        for part, count in (("practice", rate.num_practice), ("rated", rate.num_items)):
            prompts = range(first_practice, num_prompts) if part == "practice" else range(first_practice)
            key = (self.seed, rater, part)
            order = noise.permutation(len(prompts), "rate prompts", *key)
            turns = noise.permutation(len(self._couples), "rate couples", *key)
            sides = noise.uniform(count, "rate sides", *key)
            for number in range(count):
                # After all prompts, the next couple of each: no pair comes twice.
                repeat, index = divmod(number, len(prompts))
                couple = self._couples[turns[(index + repeat) % len(turns)]]
                pair = tuple(self._pools[source][prompts[order[index]]] for source in couple)
                questions.append((pair if sides[number] < 0.5 else pair[::-1], None))
        return questions

    def _require_enough(self) -> None:
        rate = self.rate
        if rate.task == "preference":
            prompts = len(self._pools[SAMPLES]) - rate.num_practice
            num_pairs = max(prompts, 0) * len(self._couples)
            if num_pairs < rate.num_items:
                raise BadInput(
                    f"rate.num_items is {rate.num_items}; {len(self._pools[SAMPLES])} common prompts less "
                    f"rate.num_practice ({rate.num_practice}) give {num_pairs} pairs"
                )
            return
        needed = _half(rate.num_items) + _half(rate.num_practice)
        for source, pool in self._pools.items():
            if len(pool) < needed:
                raise BadInput(
                    f"rate.num_items is {rate.num_items} and rate.num_practice {rate.num_practice}, which take "
                    f"{needed} items of {source}; {len(pool)} are there"
                )


def _half(count: int) -> int:
    return (count + 1) // 2
