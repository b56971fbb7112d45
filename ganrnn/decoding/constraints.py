"""Masks of what may come next, so that a text that an RNN writes token by token has the form that was asked for.

>>> tokens = ["", "<end>", "a", "b", "ab"]
>>> constraint = Alphabet(tokens, end=1, characters="a")
>>> constraint.allowed(constraint.start(), num_left=5).tolist()
[False, True, True, False, False]

Here are what all constraints share, sets of characters, regular expressions and the conjunction; poems are in
`ganrnn/decoding/poem_constraint.py`, molecules in `ganrnn/decoding/smiles_constraint.py`. `tokens` holds the surface
of every token of the vocabulary: what it adds to the text. A token without a surface, such as padding, never stands in
a text; END, which is given by its index, closes it.
"""

import importlib
from collections.abc import Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ganrnn.errors import BadInput

NEVER = 2**30  # the number of characters after which a text that cannot be finished may end
_CACHE_BYTES = 2**25  # of masks that one constraint keeps

S = TypeVar("S", bound=Hashable)


class Constraint(Protocol):
    """What decoding asks. States are hashable and say all about the text so far that the constraint has to know."""

    def start(self) -> Any:
        """The state before the first token."""
        ...

    def allowed(self, state: Any, num_left: int) -> np.ndarray:
        """Which tokens may come next, bool [num_tokens], not to be written to: the caller shares it with others.

        num_left:  how many tokens may still be written, END not counted

        END is among them where the text may end here. Any other token is only if after it the text can still be
        finished within num_left - 1 tokens; so a text that began with room enough always gets finished.
        """
        ...

    def advance(self, state: Any, token: int) -> Any:
        """The state after an allowed token that is not END."""
        ...


class MaskCache(dict[Hashable, np.ndarray]):
    """Masks that are shared and therefore read-only. When they are too many it forgets them all and begins anew."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self._most = max(_CACHE_BYTES // max(num_tokens, 1), 64)

    def keep(self, key: Hashable, mask: np.ndarray) -> np.ndarray:
        """The mask itself, from now on read-only."""
        if len(self) >= self._most:
            self.clear()
        mask.setflags(write=False)
        self[key] = mask
        return mask


class CharacterConstraint(Generic[S]):
    """A constraint that is an automaton over characters: tokens of several characters go through it one by one.

    A subclass says where a character leads (`step`) and how far the end is (`fewest`). Since `fewest` counts characters
    that stand in the vocabulary as tokens, it is exact in tokens for a vocabulary of single characters; with longer
    tokens the same end may be reached in fewer, so that a text may be closed a little early but never too late.
    """

    def __init__(self, tokens: Sequence[str], end: int) -> None:
        assert 0 <= end < len(tokens), (end, len(tokens))
        self.tokens, self.end = tuple(tokens), end
        # Tokens by their characters: what no token goes on with is not tried, and no beginning is stepped twice.
        self._tree: dict[str, Any] = {}
        for i, surface in enumerate(self.tokens):
            if not surface or i == end:
                continue
            node = self._tree
            for character in surface:
                node = node.setdefault(character, {})
            node.setdefault("", []).append(i)
        self._needs = MaskCache(4 * len(tokens))
        self._masks = MaskCache(len(tokens))

    def start(self) -> S:
        """The state before the first character."""
        raise NotImplementedError

    def step(self, state: S, character: str) -> S | None:
        """The state after one more character, None where it may not stand."""
        raise NotImplementedError

    def fewest(self, state: S) -> int:
        """The fewest further characters until END may come: 0 if it may come now, NEVER if it cannot come at all."""
        raise NotImplementedError

    def allowed(self, state: S, num_left: int) -> np.ndarray:
        """See `Constraint.allowed`; all False if `num_left` is less than `fewest(state)`, so that no way is left."""
        needs = self._needs.get(state)
        if needs is None:
            needs = self._needs.keep(state, self._needed(state))
        # Beyond what the most demanding token needs, room makes no difference.
        room = min(num_left, int(needs[-1]))
        mask = self._masks.get((state, room))
        return self._masks.keep((state, room), needs[:-1] <= room) if mask is None else mask

    def advance(self, state: S, token: int) -> S:
        """The state after an allowed token that is not END."""
        assert token != self.end and self.tokens[token], token
        for character in self.tokens[token]:
            after = self.step(state, character)
            assert after is not None, (state, self.tokens[token])
            state = after
        return state

    def _needed(self, state: S) -> np.ndarray:
        """For each token how much room it needs, itself included, and after them the most of these; int32 [V + 1]."""
        needs = np.full(len(self.tokens) + 1, NEVER, np.int32)
        most = 0
        if self.fewest(state) == 0:
            needs[self.end] = 0
        ahead = [(self._tree, state)]
        while ahead:
            node, here = ahead.pop()
            for character, child in node.items():
                after = self.step(here, character) if character else None
                if after is None:
                    continue
                ahead.append((child, after))
                if "" in child and (fewest := self.fewest(after)) < NEVER:
                    needs[child[""]] = fewest + 1
                    most = max(most, fewest + 1)
        needs[-1] = most
        return needs


class Alphabet(CharacterConstraint[tuple[()]]):
    """Only tokens whose characters are all among `characters`; the text may end anywhere.

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
        """There is one state only."""
        return ()

    def step(self, state: tuple[()], character: str) -> tuple[()] | None:
        """The same state for a character of the alphabet."""
        return state if character in self.characters else None

    def fewest(self, state: tuple[()]) -> int:
        """Always 0."""
        return 0


class Pattern(CharacterConstraint[str]):
    """The whole text must match a regular expression, in the syntax of the package `regex`.

    The state is the text so far, and a token may come if some text that begins so matches. Whether the vocabulary can
    write that text, and within how many tokens, is not foreseen beyond the last token: `allowed` may be all False and
    the row has then to be given up. An expression with look-around is taken by the package's partial matching as it is.

    Raises BadInput for an expression that cannot be compiled, if the package is not installed, and while decoding if
    an expression takes more than `SECONDS` for one text, as nested repetition can.
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
        """The longer text, if it can still become one that matches."""
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
    """Several constraints at once; a state is the tuple of theirs.

    Each keeps its own way to the end open, but two may not agree on one: `allowed` may be all False, and the row has
    then to be given up.
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        assert constraints
        self.constraints = tuple(constraints)

    def start(self) -> tuple[Any, ...]:
        """The states of all before the first token."""
        return tuple(constraint.start() for constraint in self.constraints)

    def allowed(self, state: tuple[Any, ...], num_left: int) -> np.ndarray:
        """What all of them allow, bool [num_tokens]."""
        pairs = zip(self.constraints, state, strict=True)
        mask: np.ndarray = np.logical_and.reduce([constraint.allowed(own, num_left) for constraint, own in pairs])
        mask.setflags(write=False)
        return mask

    def advance(self, state: tuple[Any, ...], token: int) -> tuple[Any, ...]:
        """The states of all after a token that all allow."""
        return tuple(constraint.advance(own, token) for constraint, own in zip(self.constraints, state, strict=True))
