"""SMILES under a mask: the automaton against the grammar written another way, and its distances against a search."""

import functools
import itertools
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ganrnn.decoding.constraints import NEVER
from ganrnn.decoding.smiles_constraint import BRACKET_ATOMS, Smiles, SmilesState
from ganrnn.errors import BadInput

DATA = Path(__file__).parents[3] / "../shared/data"
END = 1
SURFACES = [*"BCNOPSFIbcnops*lr", *"-=#:/\\$~", *"()[].%@H+", *"0123456789"]
VOCABULARY = ["", "<end>", *SURFACES]

# The grammar once more: a branch that has been read becomes "!", so what is inside is read first.
ATOM = r"(?:Cl|Br|[BCNOPSFIbcnops*]|\[[^\[\]]+\])"
BOND = r"[-=#:/\\$~]"
NUMBER = r"(?:[1-9]|%[1-9][0-9])"
UNIT = rf"{ATOM}(?:{BOND}?{NUMBER})*!*"
CHAIN = rf"{UNIT}(?:(?:{BOND}|\.)?{UNIT})*"
ELEMENTS = (
    "A[cglmrstu]|B[aehikr]?|C[adeflmnorsu]?|D[bsy]|E[rsu]|F[elmr]?|G[ade]|H[efgos]|I[nr]?|Kr?|L[airuv]|M[cdgnot]|"
    "N[abdehiop]?|O[gs]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abcehilms]|U|V|W|Xe|Yb?|Z[nr]"
)
BRACKETS = re.compile(
    rf"\[(?:[1-9][0-9]{{0,2}})?(?:H|(?:{ELEMENTS}|[bcnops]|se|as|\*)(?:@@?)?(?:H[1-9]?)?)"
    r"(?:\+\+|--|[+-][1-9]?)?(?::[1-9][0-9]{0,2})?\]"
)


def is_smiles(text: str) -> bool:
    """Syntax by reduction, rings by the graph with all its atoms."""
    shorter, longer = text, ""
    while shorter != longer:
        longer, shorter = shorter, re.sub(rf"\({BOND}?{CHAIN}\)", "!", shorter)
    if not re.fullmatch(CHAIN, shorter) or not all(map(BRACKETS.fullmatch, re.findall(r"\[.*?\]", text))):
        return False
    num_atoms, last, stack, bond = 0, None, [], ""
    open_rings: dict[str, tuple[int, str]] = {}
    bonded: set[frozenset[int]] = set()
    for piece in re.findall(rf"{ATOM}|{BOND}|{NUMBER}|[().]", text):
        if re.fullmatch(ATOM, piece):
            if last is not None:
                bonded.add(frozenset((last, num_atoms)))
            last, num_atoms, bond = num_atoms, num_atoms + 1, ""
        elif re.fullmatch(BOND, piece):
            bond = "/" if piece == "\\" else piece
        elif piece == "(":
            stack.append(last)
        elif piece == ")":
            last = stack.pop()
        elif piece == ".":
            last = None
        elif piece in open_rings:
            other, opening = open_rings.pop(piece)
            assert last is not None
            pair = frozenset((last, other))
            if len(pair) == 1 or pair in bonded or (bond and opening and bond != opening):
                return False
            bonded.add(pair)
            bond = ""
        else:
            assert last is not None
            open_rings[piece], bond = (last, bond), ""
    return not open_rings


def after(constraint: Smiles, text: str) -> SmilesState | None:
    state: SmilesState | None = constraint.start()
    for character in text:
        state = constraint.step(state, character) if state else None
    return state


def is_accepted(constraint: Smiles, text: str) -> bool:
    state = after(constraint, text)
    return state is not None and constraint.fewest(state) == 0


def wander(constraint: Smiles, rng: random.Random, num_left: int) -> str:
    """A text of tokens drawn evenly from what is allowed."""
    state, text = constraint.start(), ""
    while True:
        token = int(rng.choice(np.flatnonzero(constraint.allowed(state, num_left))))
        if token == END:
            return text
        state, text, num_left = constraint.advance(state, token), text + constraint.tokens[token], num_left - 1


@functools.cache
def states(seed: int, num: int) -> tuple[SmilesState, ...]:
    """States that random characters lead to, with many rings and branches and without regard to the end."""
    rng, constraint, reached_states = random.Random(seed), Smiles(VOCABULARY, END), set()
    while len(reached_states) < num:
        state = constraint.start()
        for _ in range(rng.randrange(30)):
            character = rng.choice("CCCN()()112233%%11=/.[CH]" if rng.random() < 0.9 else VOCABULARY[2:])
            state = constraint.step(state, character) or state
            reached_states.add(state)
    return tuple(sorted(reached_states))


TEXTS = r"""
    C CC Cl BrCBr [H] [2H] [nH] [13C@@H2-] [NH4+] [O--] [Se+2:12] c1ccccc1 C(=O)O C(C)(C)C N#N C=1CC1 C1CC=1 C=1CC=1
    C/1CC\1 F/C=C\F C12CC1C2 C1.C1 C1C.C1 C(C1.C1)C C%10CC%10 C%99CC%99 C1CC%10C1CC%10 [Na+].[Cl-] C(C(C)C)C
    ClC(Cl)Br C$C C~C c:c *C1CC1 [CH] [as] [se] [*H+:1]
"""
FAULTS = r"""
    ( ) C( C) C() C(( (C) C((C)) C(C C(C)1CC1 1C C1 C11 C1C1 C1CC C12CC12 C1(C1) C=1CC#1 =C C= C== C(=) C. .C C..C
    C.1C1 C(.C)C C=.C C%1 C%01CC%01 C0CC0 [ [] [C [13] [C@@@] [C+++] [C+-] [H@] [HH] [Xx] [L] [a] [C:] [C:0] [0C]
    [1234C] ] l r Clr Cr Bl [[C]] C[ C%% C%1C [C:1234] [C+10] [CH0] [HeH@]
"""


@pytest.mark.parametrize("text", TEXTS.split())
def test_a_molecule_is_accepted(text: str) -> None:
    assert is_accepted(Smiles(VOCABULARY, END), text) and is_smiles(text)


@pytest.mark.parametrize("text", ["", *FAULTS.split()])
def test_what_is_no_molecule_is_not_accepted(text: str) -> None:
    assert not is_accepted(Smiles(VOCABULARY, END), text) and not is_smiles(text)


@pytest.mark.parametrize(
    ("characters", "longest", "num_accepted"),
    [("C1()=.", 6, 77), ("C12", 9, 139), ("C1-=/\\", 6, 130), ("Cl1B", 6, 355), ("C(.)2", 7, 103)],
)
def test_every_short_text_is_judged_as_the_grammar_does(characters: str, longest: int, num_accepted: int) -> None:
    constraint = Smiles(VOCABULARY, END)
    accepted = 0
    for length in range(longest + 1):
        for chosen in itertools.product(characters, repeat=length):
            text = "".join(chosen)
            is_right = is_smiles(text)
            assert is_accepted(constraint, text) == is_right, text
            accepted += is_right
    assert accepted == num_accepted


def test_every_short_atom_in_brackets_is_judged_as_the_grammar_does() -> None:
    constraint = Smiles(VOCABULARY, END)
    accepted = 0
    for length in range(5):
        for chosen in itertools.product("CHnl@+-1:", repeat=length):
            text = f"[{''.join(chosen)}]"
            is_right = BRACKETS.fullmatch(text) is not None
            assert is_accepted(constraint, text) == is_right, text
            accepted += is_right
    assert accepted == 191


def test_all_elements_stand_in_brackets_and_none_else() -> None:
    constraint = Smiles(VOCABULARY, END)
    letters = "".join(map(chr, range(ord("a"), ord("z") + 1)))
    pairs = [x + y for x in letters + letters.upper() for y in ["", *letters]]
    elements = [pair for pair in pairs if is_accepted(constraint, f"[{pair}]")]
    assert len([element for element in elements if element[0].isupper()]) == 118
    assert [element for element in elements if element[0].islower()] == ["as", "b", "c", "n", "o", "p", "s", "se"]


@pytest.mark.parametrize(
    ("text", "fewest"),
    [
        *(
            ("", 1),
            ("C", 0),
            ("C=", 1),
            ("C.", 1),
            ("C(", 2),
            ("C(C", 1),
            ("C((", NEVER),
            ("[", 2),
            ("[C", 1),
            ("[1", 2),
        ),
        *(("[C:", 2), ("C([", 3), ("C1", 3), ("C1C", 2), ("C1CC", 1), ("C1CC=", 1), ("C=1CC#", 2), ("C12", 5)),
        *(("C12CC1", 2), ("C(C1", 3), ("C1(", 4), ("C1.", 2), ("C%10", 5), ("C%1", 6), ("C%", 7), ("C%10CC%", 2)),
        *(("C1C2C3", 5), ("C1N2C(", 4)),
    ],
)
def test_the_fewest_characters_to_the_end(text: str, fewest: int) -> None:
    constraint = Smiles(VOCABULARY, END)
    state = after(constraint, text)
    assert (NEVER if state is None else constraint.fewest(state)) == fewest


def test_the_fewest_characters_fall_by_one_on_the_best_way_and_never_faster() -> None:
    # Together with 0 where the text may end, and only there, this makes them what a search would find.
    constraint = Smiles(VOCABULARY, END)
    for state in states(0, 1500):
        follows = [follow for character in SURFACES if (follow := constraint.step(state, character))]
        closed = not (state.stack or state.rings or state.bond) and state.unfinished in ("", "C", "B")
        may_end = closed and state.position in ("atom", "after")
        expected = 0 if may_end else 1 + min(map(constraint.fewest, follows))
        assert constraint.fewest(state) == expected < NEVER, state


SMALL = ["", "<end>", "C", "1", "2", "(", ")", "="]


@pytest.mark.parametrize("longer", [(), ("C1", "(C", "=C)", "21", "2)C")])
def test_what_is_allowed_can_be_finished(longer: tuple[str, ...]) -> None:
    constraint = Smiles([*SMALL, *longer], END)

    def after_token(state: SmilesState, token: int) -> SmilesState | None:
        next_state: SmilesState | None = state
        for character in constraint.tokens[token]:
            next_state = constraint.step(next_state, character) if next_state else None
        return next_state

    @functools.cache
    def can_finish(state: SmilesState, num_left: int) -> bool:
        if constraint.fewest(state) == 0:
            return True
        ways = [after_token(state, token) for token in range(2, len(constraint.tokens))] if num_left else []
        return any(can_finish(way, num_left - 1) for way in ways if way)

    reached = {constraint.start()}
    for _ in range(3):
        for state, token in itertools.product(tuple(reached), range(2, len(constraint.tokens))):
            if (next_state := after_token(state, token)) is not None:
                reached.add(next_state)
    for state, num_left in itertools.product(sorted(reached), range(6)):
        allowed = constraint.allowed(state, num_left)
        assert allowed[END] == (constraint.fewest(state) == 0) and not allowed[0]
        for token in range(2, len(constraint.tokens)):
            next_state = after_token(state, token)
            can = next_state is not None and num_left > 0 and can_finish(next_state, num_left - 1)
            # With longer tokens the end may be nearer than it is known to be, never further.
            assert allowed[token] <= can if longer else allowed[token] == can, (state, num_left, token)


@pytest.mark.parametrize("num_left", [1, 2, 3, 5, 9, 25])
def test_random_walks_end_with_everything_closed(num_left: int) -> None:
    rng, constraint = random.Random(num_left), Smiles(VOCABULARY, END)
    texts = [wander(constraint, rng, num_left) for _ in range(150)]
    assert all(map(is_smiles, texts))
    assert max(map(len, texts)) <= num_left and len(set(texts)) > {1: 10, 2: 60}.get(num_left, 100)


@pytest.mark.parametrize(
    ("missing", "longer"), [(")", "C)"), ("1", "C1"), ("]", "H]"), ("%", "%12"), ("0", "%10"), ("l", "Cl"), ("(", "(C")]
)
def test_nothing_is_opened_that_the_vocabulary_cannot_close(missing: str, longer: str) -> None:
    tokens = ["", "<end>", *(surface for surface in SURFACES if surface != missing), longer]
    rng, constraint = random.Random(1), Smiles(tokens, END)
    texts = [wander(constraint, rng, rng.randrange(1, 12)) for _ in range(200)]
    assert all(map(is_smiles, texts))
    assert any(longer in text for text in texts) == (missing in "l(")


def test_a_new_ring_number_is_one_that_the_vocabulary_can_write() -> None:
    for missing, fewest in (("0", 7), ("0123456", 7), ("123456789", NEVER), ("%", NEVER)):
        tokens = ["", "<end>", *(surface for surface in SURFACES if surface not in missing)]
        state = after(constraint := Smiles(tokens, END), "C%")
        assert state is not None and constraint.fewest(state) == fewest, missing


def test_states_say_no_more_than_matters() -> None:
    constraint = Smiles(VOCABULARY, END)
    for same in (
        ("N", "C1CC1N", "C(C)N", "C.N", "[13CH4+]", "Cl", "CN"),
        ("C1CCN", "O1CN(C)N", "C2CC1CC2N1CO1NN"),
        ("C1C(", "C1N(", "C21CC2NC("),
        ("N13", "N31", "C13CN1C3N13"),
    ):
        reached_states = {after(constraint, text) for text in same}
        assert len(reached_states) == 1 and None not in reached_states, same


def test_no_state_in_brackets_is_a_dead_end() -> None:
    constraint = Smiles(VOCABULARY, END)
    letters = Smiles(["", "<end>", "C", "]", *"abcdefghijklmnopqrstuvwxyz123456789"], END)
    assert set(itertools.chain(*(follows.values() for follows in BRACKET_ATOMS.values()))) - {""} < set(BRACKET_ATOMS)
    state = after(constraint, "C")
    assert state is not None
    for unfinished in BRACKET_ATOMS:
        assert letters.fewest(state._replace(unfinished=unfinished)) <= 3


@pytest.mark.parametrize("surfaces", [["=", "(", ")"], ["CC", "[nH]", "1"], []])
def test_a_vocabulary_without_atoms_is_refused(surfaces: list[str]) -> None:
    with pytest.raises(BadInput, match=r"SMILES: the vocabulary's .* no atom of one character"):
        Smiles(["", "C", *surfaces], END)


def test_the_constraint_travels_between_processes() -> None:
    constraint = Smiles(VOCABULARY, END)
    constraint.allowed(constraint.start(), 5)
    copied = pickle.loads(pickle.dumps(constraint))
    state = constraint.advance(constraint.start(), VOCABULARY.index("C"))
    assert copied.allowed(state, 3).tolist() == constraint.allowed(state, 3).tolist()


def test_real_molecules_are_accepted_token_by_token() -> None:
    source = DATA / "smiles_zinc/train.parquet"
    if not source.is_file():
        pytest.skip("the molecules are not beside this checkout (../shared/data/smiles_zinc)")
    texts = pq.read_table(source).column("text").to_pylist()
    assert len(texts) == 9_999
    tokens = ["", "<end>", *sorted(set("".join(texts)))]
    index = {surface: i for i, surface in enumerate(tokens)}
    constraint = Smiles(tokens, END)
    reached = set()
    for text in texts:
        state = constraint.start()
        for written, character in enumerate(text):
            # There is room for the rest of this text and for no more.
            assert constraint.allowed(state, len(text) - written)[index[character]], (text, written)
            state = constraint.advance(state, index[character])
            reached.add(state)
        assert constraint.allowed(state, 0)[END], text
    assert len(reached) == 747
