"""What all constraints share, against brute force: what may come next is what can still be finished."""

import itertools
import pickle
import re
import sys

import numpy as np
import pytest

from ganrnn.decoding.constraints import (
    NEVER,
    Alphabet,
    CharacterConstraint,
    Conjunction,
    Constraint,
    MaskCache,
    Pattern,
)
from ganrnn.errors import BadInput

END = 1


class Nested(CharacterConstraint[int]):
    """Parentheses that close, no more than three open; the state is how many are."""

    def start(self) -> int:
        return 0

    def step(self, state: int, character: str) -> int | None:
        after = state + {"(": 1, ")": -1}.get(character, 9)
        return after if 0 <= after <= 3 else None

    def fewest(self, state: int) -> int:
        return state


def accepts(constraint: Constraint, tokens: tuple[int, ...]) -> bool:
    """Whether the masks let exactly these tokens through, with room for no more, and then END."""
    state = constraint.start()
    for written, token in enumerate(tokens):
        if not constraint.allowed(state, len(tokens) - written)[token]:
            return False
        state = constraint.advance(state, token)
    return bool(constraint.allowed(state, 0)[END])


def indices(tokens: list[str], longest: int) -> list[tuple[int, ...]]:
    """All sequences of tokens with a surface, up to a length."""
    written = [i for i, surface in enumerate(tokens) if surface and i != END]
    return [chosen for length in range(longest + 1) for chosen in itertools.product(written, repeat=length)]


# The automaton over characters


@pytest.mark.parametrize("tokens", [["", "<end>", "(", ")"], ["", "<end>", "(", ")", "))", "()(", ")(", "(((("]])
def test_what_is_allowed_can_be_finished_and_every_other_token_cannot(tokens: list[str]) -> None:
    constraint = Nested(tokens, END)
    for state, num_left in itertools.product(range(4), range(8)):
        expected = [num_left >= state + 1 + step if step is not None else False for step in _moves(tokens, state)]
        expected[END] = state == 0
        assert constraint.allowed(state, num_left).tolist() == expected, (state, num_left)


def _moves(tokens: list[str], state: int) -> list[int | None]:
    """By how much each token changes the depth, None if it breaks the rule on its way."""
    moves: list[int | None] = []
    for surface in tokens:
        depths = [state + surface[: i + 1].count("(") - surface[: i + 1].count(")") for i in range(len(surface))]
        possible = surface and set(surface) <= set("()") and all(0 <= depth <= 3 for depth in depths)
        moves.append(depths[-1] - state if possible else None)
    return moves


def test_the_fewest_tokens_are_what_a_search_finds_and_longer_tokens_only_make_it_earlier() -> None:
    for tokens in (["", "<end>", "(", ")"], ["", "<end>", "(", ")", "))"]):
        constraint = Nested(tokens, END)
        for state in range(4):
            depths, deepest = {state}, 0
            while 0 not in depths:
                moves = [constraint.step(depth, c) for depth in depths for c in "()"]
                if "))" in tokens:
                    moves += [depth - 2 for depth in depths if depth >= 2]
                depths, deepest = {depth for depth in moves if depth is not None}, deepest + 1
            assert deepest <= constraint.fewest(state) == state
            assert deepest == state or "))" in tokens


def test_all_texts_within_the_room_get_through_and_nothing_else_does() -> None:
    tokens = ["", "<end>", "(", ")"]
    constraint = Nested(tokens, END)
    for chosen in indices(tokens, 8):
        depths = np.cumsum([1 if tokens[token] == "(" else -1 for token in chosen])
        form = bool(len(chosen) == 0 or (depths.min() >= 0 and depths.max() <= 3 and depths[-1] == 0))
        assert accepts(constraint, chosen) == form, chosen


def test_a_state_without_a_way_out_is_never_entered() -> None:
    class Trap(Nested):
        def fewest(self, state: int) -> int:
            return NEVER if state == 2 else state

    constraint = Trap(["", "<end>", "(", ")"], END)
    assert constraint.allowed(1, 10**10).tolist() == [False, False, False, True]


def test_masks_are_shared_and_read_only() -> None:
    constraint = Nested(["", "<end>", "(", ")"], END)
    mask = constraint.allowed(1, 50)
    assert constraint.allowed(1, 60) is mask and constraint.allowed(1, 2) is not mask
    assert mask.dtype == bool and mask.shape == (4,)
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = True


def test_a_full_cache_begins_anew() -> None:
    cache = MaskCache(2**25)
    for key in range(64):
        cache.keep(key, np.zeros(1, bool))
    assert len(cache) == 64
    cache.keep(64, np.zeros(1, bool))
    assert list(cache) == [64]


def test_a_token_that_was_not_allowed_is_an_error_of_the_caller() -> None:
    constraint = Nested(["", "<end>", "(", ")"], END)
    for token in (0, END, 3):
        with pytest.raises(AssertionError):
            constraint.advance(0, token)


# Alphabet


def test_an_alphabet_leaves_the_tokens_that_are_made_of_it() -> None:
    tokens = ["", "ab", "a", "b", "ab", "abc", "ca", "aa"]
    constraint = Alphabet(tokens, end=END, characters="ba")
    assert constraint.allowed((), 3).tolist() == [False, True, True, True, True, False, False, True]
    assert constraint.allowed((), 0).tolist() == [False, True] + [False] * 6
    assert constraint.advance((), 2) == () == constraint.start()


@pytest.mark.parametrize("characters", ["", "x", "<end>"])
def test_an_alphabet_without_a_token_is_refused(characters: str) -> None:
    with pytest.raises(BadInput, match=f"alphabet: no token .* characters '{characters}'"):
        Alphabet(["", "<end>", "a"], END, characters)


# Pattern

EXPRESSIONS = ["", "a*", "(ab)+", r"a?b{2,3}", r"[ab]{3}|1+", r"(?:a|b1)*a", r"a(?=b).*", r"(a|b)\1", r"\d{2}(?!1)b*"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_pattern_lets_through_what_matches_as_a_whole(expression: str) -> None:
    pytest.importorskip("regex")
    tokens = ["", "<end>", "a", "b", "1"]
    constraint = Pattern(tokens, END, expression)
    texts = indices(tokens, 5)
    matching = [c for c in texts if re.fullmatch(expression, "".join(tokens[i] for i in c))]
    assert [chosen for chosen in texts if accepts(constraint, chosen)] == matching
    assert matching


def test_a_pattern_goes_through_longer_tokens_character_by_character() -> None:
    pytest.importorskip("regex")
    tokens = ["", "<end>", " 20", "26", "-0", "-13", "7", "x"]
    constraint = Pattern(tokens, END, r" \d{4}-(0[1-9]|1[012])")
    state = constraint.start()
    seen = []
    for token in (2, 3, 4, 6):
        seen.append([tokens[i] for i in np.flatnonzero(constraint.allowed(state, 9))])
        state = constraint.advance(state, token)
    assert seen == [[" 20"], ["26", "7"], ["-0"], ["7"]]
    assert state == " 2026-07" and constraint.allowed(state, 9).tolist() == [False, True] + [False] * 6
    # The last token has to finish the text; that two more will not do is not foreseen.
    assert not constraint.allowed(" 2026", 1).any() and constraint.allowed(" 2026-0", 1)[6]
    assert constraint.allowed("", 2)[2]


def test_a_pattern_that_the_vocabulary_cannot_write_leaves_nothing() -> None:
    pytest.importorskip("regex")
    constraint = Pattern(["", "<end>", "a"], END, "ab")
    assert constraint.allowed("", 5)[2] and not constraint.allowed("a", 5).any()


@pytest.mark.parametrize("expression", ["(", "[a", "a{2,1}", "*a"])
def test_what_is_no_regular_expression_is_refused(expression: str) -> None:
    pytest.importorskip("regex")
    with pytest.raises(BadInput, match=r"pattern: '.*' is not a regular expression \(.+\)"):
        Pattern(["", "<end>", "a"], END, expression)


def test_a_pattern_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(BadInput, match="pip install regex"):
        Pattern(["", "<end>", "a"], END, "a")


def test_a_pattern_that_never_gets_done_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("regex")
    monkeypatch.setattr(Pattern, "SECONDS", 0.05)
    constraint = Pattern(["", "<end>", "a", "b"], END, "(?:a|aa)+c")
    with pytest.raises(BadInput, match=r"takes more than 0\.05 seconds for 'a+b'"):
        constraint.step("a" * 200, "b")


# All


def test_several_constraints_leave_what_each_of_them_does() -> None:
    tokens = ["", "<end>", "(", ")", "x"]
    parts = [Nested(tokens, END), Alphabet(tokens, END, "()"), Nested(tokens, END)]
    constraint = Conjunction(parts)
    assert constraint.start() == (0, (), 0)
    for chosen in indices(tokens, 6):
        assert accepts(constraint, chosen) == all(accepts(part, chosen) for part in parts)
    state = constraint.advance(constraint.start(), 2)
    assert state == (1, (), 1)
    assert constraint.allowed(state, 3).tolist() == [False, False, True, True, False]
    assert constraint.allowed(state, 2).tolist() == [False, False, False, True, False]


def test_constraints_that_do_not_agree_leave_nothing() -> None:
    tokens = ["", "<end>", "(", ")", "x"]
    constraint = Conjunction([Nested(tokens, END), Alphabet(tokens, END, "(x")])
    state = constraint.advance(constraint.start(), 2)
    assert not constraint.allowed(state, 1).any()


def test_constraints_travel_between_processes() -> None:
    pytest.importorskip("regex")
    tokens = ["", "<end>", "a", "b"]
    constraint = Conjunction([Alphabet(tokens, END, "ab"), Pattern(tokens, END, "a+b")])
    constraint.allowed(constraint.start(), 5)
    copied = pickle.loads(pickle.dumps(constraint))
    assert [accepts(copied, chosen) for chosen in indices(tokens, 4)] == [
        accepts(constraint, chosen) for chosen in indices(tokens, 4)
    ]
