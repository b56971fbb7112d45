"""Writers of a few tokens whose logits are looked up, and a constraint for them: what decoding is held against."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ganrnn import exact, noise
from ganrnn.decoding.constraints import Constraint
from ganrnn.decoding.decode import DecodingRequest, GeneratedText, generate
from ganrnn.decoding.rules import Decoding
from ganrnn.networks.texts.language_network import ExactLanguageNetwork
from ganrnn.text.vocabulary import BEGIN, END, PAD, SPECIAL_TOKENS, TextVocabulary

LETTERS = ("a", "b", "cc", "dd", "e", "f")


class Table:
    """A writer whose logits [V, V, V] are looked up by the last two tokens; a state is the last token but one."""

    def __init__(self, tokens: Sequence[str], seed: int = 0, scale: float = 2.0, end: float = 0.0) -> None:
        self.vocabulary = TextVocabulary("word", (*SPECIAL_TOKENS, *tokens))
        num = len(self.vocabulary)
        drawn = torch.randn(num, num, num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.logits = exact.snapped_logits(scale * drawn)
        self.logits[..., END] += end

    def step(self, tokens: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.logits[state, tokens], tokens

    def select_rows(self, state: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return state[rows]

    def log_coverage(self, state: torch.Tensor) -> list[float]:
        return [-0.2 * (token % 5) for token in state.tolist()]

    def generate(self, requests: Sequence[DecodingRequest], best: Sequence[int] = ()) -> list[GeneratedText]:
        """Lines, of each the text after `best` better ones."""
        if best:
            placed = zip(requests, best, strict=True)
            requests = [replace(request, decoding=replace(request.decoding, best=rank)) for request, rank in placed]
        return generate(self, torch.full((len(requests),), PAD), requests)

    def after(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits [V] after tokens."""
        before, last = [PAD, BEGIN, *tokens][-2:]
        return np.asarray(self.logits[before, last])

    def log_probability(self, tokens: Sequence[int], start: int = 0, ended: bool = True) -> float:
        """Of all tokens from `start` on, and of END where the text has one."""
        total = 0.0
        for i, token in enumerate([*tokens, END] if ended else tokens):
            if i >= start:
                total += log_softmax(self.after(tokens[:i]))[token]
        return total


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def request_of(
    model: Table | ExactLanguageNetwork,
    prefix: Sequence[str] = (),
    key: int = 0,
    constraint: Constraint | None = None,
    **rules: Any,
) -> DecodingRequest:
    decoding = Decoding(**rules)
    uniform = noise.uniform(decoding.max_tokens + 1, key, "line")
    return DecodingRequest(decoding, [model.vocabulary.id_of(text) for text in prefix], uniform, constraint)


class Fixed(Table):
    """A writer whose logits [V] are always the same."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.vocabulary = TextVocabulary("word", (*SPECIAL_TOKENS, *(f"t{i}" for i in range(len(logits) - 4))))
        self.fixed = exact.snapped_logits(logits.double())

    def step(self, tokens: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.fixed.expand(len(tokens), -1), state

    def frequencies(self, rules: Sequence[Decoding], num: int) -> list[np.ndarray]:
        """How often each token comes over a grid of `num` numbers u, by each of some rules, in one batch."""
        uniform = [np.array([(i + 0.5) / num, 0.0]) for i in range(num)]
        generated = self.generate([DecodingRequest(each, (), u) for each in rules for u in uniform])
        drawn = [(*w.tokens, END)[0] for w in generated]
        counts = [np.bincount(drawn[k * num :][:num], minlength=len(self.fixed)) for k in range(len(rules))]
        return [count / num for count in counts]


class Pairs:
    """An even number of tokens, no two neighbours alike."""

    def __init__(self, model: Table, dead: int = PAD) -> None:
        self.num, self.dead = len(model.vocabulary), dead

    def start(self) -> tuple[int, int]:
        return 0, PAD

    def allowed(self, state: tuple[int, int], num_left: int) -> np.ndarray:
        odd, last = state
        mask = np.zeros(self.num, bool)
        mask[END] = not odd
        mask[4:] = num_left >= (1 if odd else 2)
        mask[last] = False if last else mask[last]
        if self.dead and last == self.dead:
            mask[:] = False
        mask.setflags(write=False)
        return mask

    def advance(self, state: tuple[int, int], token: int) -> tuple[int, int]:
        assert token >= 4 and token != state[1]
        return 1 - state[0], token


def is_paired(tokens: Sequence[int]) -> bool:
    return len(tokens) % 2 == 0 and all(a != b for a, b in itertools.pairwise(tokens))
