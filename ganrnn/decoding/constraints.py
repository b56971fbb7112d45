"""Masks of the tokens that may come next, so that a text decoded token by token has a required form.

>>> tokens = ["", "<end>", "a", "b", "ab"]
>>> constraint = Alphabet(tokens, end=1, characters="a")
>>> constraint.allowed(constraint.start(), num_left=5).tolist()
[False, True, True, False, False]

This module has the interface, character sets, regular expressions and the conjunction of constraints; poems are in
`ganrnn/decoding/poem_constraint.py`, molecules in `ganrnn/decoding/smiles_constraint.py`. `tokens` lists the surface
of every token of the vocabulary: what the token adds to the text. Tokens without a surface, such as padding, never
occur in a text; END, given by its index, ends the text.
"""

import importlib
from collections.abc import Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ganrnn.errors import BadInput

NEVER = 2**30  # the distance in characters to an end that cannot be reached
_CACHE_BYTES = 2**25  # for the masks of one constraint

S = TypeVar("S", bound=Hashable)


class Constraint(Protocol):
    """Which tokens may follow a text. States are hashable and hold all that the constraint knows of the text so far."""

    def start(self) -> Any:
        """The state before the first token."""
        ...

    def allowed(self, state: Any, num_left: int) -> np.ndarray:
        """Which tokens may come next, bool [num_tokens]; read-only, because rows share masks.

        num_left:  how many tokens may still be generated, END not counted

        END is allowed if the text may end here. Another token is allowed if the text can still be finished within
        num_left - 1 tokens after it, so that a text that starts with enough tokens is always finished.
        """
        ...

    def advance(self, state: Any, token: int) -> Any:
        """The state after an allowed token that is not END."""
        ...


class MaskCache(dict[Hashable, np.ndarray]):
    """A cache of read-only masks, which rows share. It is cleared when it is full."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self._max_masks = max(_CACHE_BYTES // max(num_tokens, 1), 64)

    def keep(self, key: Hashable, mask: np.ndarray) -> np.ndarray:
        """Store a mask; returns it, made read-only."""
        if len(self) >= self._max_masks:
            self.clear()
        mask.setflags(write=False)
        self[key] = mask
        return mask


class CharacterConstraint(Generic[S]):
    """A constraint that is an automaton over characters; a token of several characters takes several steps.

    A subclass defines the transitions (`step`) and the distance to the end (`fewest`). `fewest` counts characters that
    are tokens of the vocabulary, so it is exact for a vocabulary of single characters; longer tokens may reach the end
    in fewer tokens, so that a text may be closed a little early but never too late.
    """

    def __init__(self, tokens: Sequence[str], end: int) -> None:
        assert 0 <= end < len(tokens), (end, len(tokens))
        self.tokens, self.end = tuple(tokens), end
        # A trie of the tokens: characters that continue no token are not tried, and a common prefix is stepped once.
        self._trie: dict[str, Any] = {}
        for i, surface in enumerate(self.tokens):
            if not surface or i == end:
                continue
            node = self._trie
            for character in surface:
                node = node.setdefault(character, {})
            node.setdefault("", []).append(i)
        self._required_lengths = MaskCache(4 * len(tokens))
        self._masks = MaskCache(len(tokens))

    def start(self) -> S:
        """The state before the first character."""
        raise NotImplementedError

    def step(self, state: S, character: str) -> S | None:
        """The state after one more character, None if the character is not allowed."""
        raise NotImplementedError

    def fewest(self, state: S) -> int:
        """The fewest further characters until END is allowed: 0 if it is allowed now, NEVER if it can never be."""
        raise NotImplementedError

    def allowed(self, state: S, num_left: int) -> np.ndarray:
        """See `Constraint.allowed`; all False if `num_left` is less than `fewest(state)`, so that no way is left."""
        lengths = self._required_lengths.get(state)
        if lengths is None:
            lengths = self._required_lengths.keep(state, self._lengths_of(state))
        # All larger values of num_left allow the same tokens as the largest length.
        limit = min(num_left, int(lengths[-1]))
        mask = self._masks.get((state, limit))
        return self._masks.keep((state, limit), lengths[:-1] <= limit) if mask is None else mask

    def advance(self, state: S, token: int) -> S:
        """The state after an allowed token that is not END."""
        assert token != self.end and self.tokens[token], token
        for character in self.tokens[token]:
            next_state = self.step(state, character)
            assert next_state is not None, (state, self.tokens[token])
            state = next_state
        return state

    def _lengths_of(self, state: S) -> np.ndarray:
        """For each token, how many tokens finish the text from it on, and the largest of these; int32 [V + 1]."""
        lengths = np.full(len(self.tokens) + 1, NEVER, np.int32)
        largest = 0
        if self.fewest(state) == 0:
            lengths[self.end] = 0
        pending = [(self._trie, state)]
        while pending:
            node, node_state = pending.pop()
            for character, child in node.items():
                next_state = self.step(node_state, character) if character else None
                if next_state is None:
                    continue
                pending.append((child, next_state))
                if "" in child and (fewest := self.fewest(next_state)) < NEVER:
                    lengths[child[""]] = fewest + 1
                    largest = max(largest, fewest + 1)
        lengths[-1] = largest
        return lengths


class Alphabet(CharacterConstraint[tuple[()]]):
    """Allows tokens whose characters are all among `characters`; the text may end anywhere.

    Raises BadInput if no token is made of them.
    """

    def __init__(self, tokens: Sequence[str], end: int, characters: str) -> None:
        super().__init__(tokens, end)
        self.characters = frozenset(characters)
        if not any(set(surface) <= self.characters for i, surface in enumerate(self.tokens) if surface and i != end):
            raise BadInput(
                f"alphabet: no token of the vocabulary is made of the characters {characters!r}; at least one must be"
            )

    def start(self) -> tuple[()]:
        """The only state."""
        return ()

    def step(self, state: tuple[()], character: str) -> tuple[()] | None:
        """The same state for a character of the alphabet."""
        return state if character in self.characters else None

    def fewest(self, state: tuple[()]) -> int:
        """Always 0."""
        return 0


class Pattern(CharacterConstraint[str]):
    """The whole text must match a regular expression, in the syntax of the package `regex`.

    The state is the text so far; a token is allowed if the longer text can be the beginning of a match. Whether the
    vocabulary can complete the match, and within how many tokens, is not checked: `allowed` may be all False, and the
    row then fails. Expressions with look-around are left to the package's partial matching.

    Raises BadInput for an expression that cannot be compiled or if the package is not installed, and while decoding if
    matching one text takes more than `SECONDS`, as nested repetition can.
    """

    SECONDS = 10.0

    def __init__(self, tokens: Sequence[str], end: int, expression: str) -> None:
        super().__init__(tokens, end)
        try:
            regex = importlib.import_module("regex")
        except ImportError:
            raise BadInput("pattern: the package regex is not installed; `pip install regex` adds it") from None
        try:
            self._pattern = regex.compile(expression)
        except regex.error as error:
            raise BadInput(f"pattern: {expression!r} is not a regular expression ({error})") from None

    def start(self) -> str:
        """No text yet."""
        return ""

    def step(self, state: str, character: str) -> str | None:
        """The longer text, if it can still become a match."""
        return state + character if self._match(state + character, partial=True) else None

    def fewest(self, state: str) -> int:
        """0 if the text matches, else 1, which is a lower bound only."""
        return 0 if self._match(state, partial=False) else 1

    def _match(self, text: str, partial: bool) -> bool:
        try:
            return self._pattern.fullmatch(text, partial=partial, timeout=self.SECONDS) is not None
        except TimeoutError:
            raise BadInput(
                f"pattern: {self._pattern.pattern!r} takes more than {self.SECONDS:g} seconds for {text!r}; "
                "an expression without repetitions inside repetitions is quick"
            ) from None


class Conjunction:
    """Several constraints at once; the state is the tuple of their states.

    Each constraint keeps its own end reachable, but the constraints may have no end in common: `allowed` may be all
    False, and the row then fails.
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        assert constraints
        self.constraints = tuple(constraints)

    def start(self) -> tuple[Any, ...]:
        """The states of all constraints before the first token."""
        return tuple(constraint.start() for constraint in self.constraints)

    def allowed(self, state: tuple[Any, ...], num_left: int) -> np.ndarray:
        """The tokens that all constraints allow, bool [num_tokens]."""
        pairs = zip(self.constraints, state, strict=True)
        mask: np.ndarray = np.logical_and.reduce(
            [constraint.allowed(member_state, num_left) for constraint, member_state in pairs]
        )
        mask.setflags(write=False)
        return mask

    def advance(self, state: tuple[Any, ...], token: int) -> tuple[Any, ...]:
        """The states of all constraints after an allowed token that is not END."""
        return tuple(
            constraint.advance(member_state, token)
            for constraint, member_state in zip(self.constraints, state, strict=True)
        )
