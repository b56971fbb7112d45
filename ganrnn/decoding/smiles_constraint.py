"""Molecules that parse: SMILES as a constraint on decoding.

The grammar is OpenSMILES 1.0 (http://opensmiles.org/opensmiles.html) without the parts that parsers disagree on.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ganrnn.decoding.constraints import NEVER, CharacterConstraint
from ganrnn.errors import BadInput

ATOMS = frozenset("BCNOPSFIbcnops*")  # those of one character; Cl and Br begin like C and B
BONDS = frozenset("-=#:/\\$~")
_LONGER = {"C": "l", "B": "r"}
_DIGITS = "123456789"
_SYMBOLS = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo
    Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl
    Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
    b c n o p s se as *
"""


def _bracket_atoms() -> dict[str, dict[str, str]]:
    """The automaton of an atom in brackets: state -> character -> next state, "" after the closing bracket.

    Isotope (up to three digits), symbol, chirality (@ or @@), hydrogens (H, H1 to H9), charge (signs, one or two of a
    kind, or a sign and a digit), class (: and up to three digits), in this order, all but the symbol left out at will;
    numbers begin with 1 to 9. A hydrogen atom has neither chirality nor hydrogens.
    """
    symbols = _SYMBOLS.split()
    close = {"]": ""}
    classed = close | {":": "[:"}
    charged = classed | {"+": "[+", "-": "[-"}
    hydrogens = charged | {"H": "[H"}
    symbol = hydrogens | {"@": "[@"}
    digits = dict.fromkeys(_DIGITS, "[charged")
    states: dict[str, dict[str, str]] = {
        "[": {digit: "[1" for digit in _DIGITS},
        "[1": {digit: "[2" for digit in "0" + _DIGITS},
        "[2": {digit: "[3" for digit in "0" + _DIGITS},
        "[3": {},
        "[symbol": symbol,
        "[hydrogen": charged,
        "[@": hydrogens | {"@": "[@@"},
        "[@@": hydrogens,
        "[H": charged | dict.fromkeys(_DIGITS, "[H1"),
        "[H1": charged,
        "[+": classed | digits | {"+": "[charged"},
        "[-": classed | digits | {"-": "[charged"},
        "[charged": classed,
        "[:": {digit: "[:1" for digit in _DIGITS},
        "[:1": close | {digit: "[:2" for digit in "0" + _DIGITS},
        "[:2": close | {digit: "[:3" for digit in "0" + _DIGITS},
        "[:3": close,
    }
    # A letter that a second one may follow has its own state, which may be an element already.
    for first in {name[0] for name in symbols}:
        seconds = {name[1]: "[symbol" for name in symbols if name[0] == first and len(name) == 2}
        single = (charged if first == "H" else symbol) if first in symbols else {}
        plain = "[hydrogen" if first == "H" else "[symbol"
        if seconds:
            states[f"[{first}.."] = single | seconds
        for state in ("[", "[1", "[2", "[3"):
            states[state][first] = f"[{first}.." if seconds else plain
    return states


BRACKET_ATOMS = _bracket_atoms()


class SmilesState(NamedTuple):
    """The state of a SMILES text so far. An atom is named by its lowest open ring number, or 0.

    position    what came last: "start" nothing or a dot, "branch" an opening parenthesis, "atom" an atom with its
                ring digits, "after" a closing parenthesis
    atom        the atom that the next atom is bonded to
    stack       the atoms from which open branches leave, the innermost last
    rings       open rings, sorted: number, atom, bond symbol
    bonded      atoms with open rings that the newest atom is bonded to already, sorted; only for position "atom"
    bond        a bond symbol that waits for what it leads to
    unfinished  the beginning of an atom or a ring number: C and B, which may become Cl and Br, %, %1 to %9, or a state
                of `BRACKET_ATOMS`
    """

    position: str
    atom: int
    stack: tuple[int, ...]
    rings: tuple[tuple[int, int, str], ...]
    bonded: tuple[int, ...]
    bond: str
    unfinished: str


class Smiles(CharacterConstraint[SmilesState]):
    """Texts that are SMILES by their syntax; valence, aromaticity and chirality are not checked.

    - Atoms are B C N O P S F Cl Br I b c n o p s * or stand in brackets, with `_bracket_atoms` for what is in them.
    - Atoms are followed by ring digits and then by branches, as the grammar has it. Branches are not empty.
    - A bond stands before an atom or a ring number. ~ is not in OpenSMILES, but parsers read it as any bond.
    - Ring numbers are 1 to 9 and %10 to %99. Both ends of a ring carry the same bond, / and \\ being the same, or one
      of them none. A ring joins two atoms without another bond: not an atom with itself, not neighbours, and no two
      atoms twice.
    - A dot stands between atoms that are not bonded, wherever a chain goes on; rings and branches may be open, since
      C1.C1 is ethane in the grammar. A dot right after an opening parenthesis is grammar too, but not allowed here, as
      parsers refuse it.
    - The text ends where all branches and rings are closed. It is never empty.

    Raises BadInput if the vocabulary has no atom of a single character.
    """

    def __init__(self, tokens: Sequence[str], end: int) -> None:
        super().__init__(tokens, end)
        # Distances to the end count these tokens, so that nothing is opened that cannot be closed.
        self._single = frozenset(token for i, token in enumerate(self.tokens) if len(token) == 1 and i != end)
        if not ATOMS & self._single:
            raise BadInput(
                f"SMILES: the vocabulary's {len(self.tokens)} tokens hold no atom of one character; "
                f"at least one of {' '.join(sorted(ATOMS))} has to be among them"
            )
        self._to_bracket = self._bracket_distances()
        names = [_ring_name(number) for number in range(10, 100)]
        self._ring_names = [name for name in names if set(name[1:]) <= self._single]
        self._distances: dict[SmilesState, int] = {}

    def start(self) -> SmilesState:
        """The empty text."""
        return SmilesState("start", 0, (), (), (), "", "")

    def step(self, state: SmilesState, character: str) -> SmilesState | None:
        """The state after one more character, None if the grammar does not allow it."""
        if state.unfinished.startswith("["):
            next_state = BRACKET_ATOMS[state.unfinished].get(character)
            return None if next_state is None else state._replace(unfinished=next_state)
        if state.unfinished.startswith("%"):
            return _percent(state, character)
        if character in ATOMS or character == "[":
            bonded = (state.atom,) if state.atom else ()
            unfinished = character if character in _LONGER or character == "[" else ""
            return SmilesState("atom", 0, state.stack, state.rings, bonded, "", unfinished)
        if state.unfinished and character == _LONGER[state.unfinished]:
            return state._replace(unfinished="")
        return _mark(state, character)

    def fewest(self, state: SmilesState) -> int:
        """The fewest further characters that are tokens after which nothing is open."""
        distance = self._distances.get(state)
        if distance is None:
            if len(self._distances) >= 2**17:
                self._distances.clear()
            distance = self._distances[state] = min(self._distance(state), NEVER)
        return distance

    def _distance(self, state: SmilesState) -> int:
        if state.unfinished.startswith("["):
            return self._to_bracket[state.unfinished] + self.fewest(state._replace(unfinished=""))
        if state.unfinished.startswith("%"):
            return 3 - len(state.unfinished) + min(self._two_digits(state), default=NEVER)
        closing = sum(self._ring_cost(number) for number, _, _ in state.rings)
        closing += len(state.stack) * (1 if ")" in self._single else NEVER)
        return closing + min(_atoms_to_come(state))

    def _two_digits(self, state: SmilesState) -> Iterator[int]:
        """The distance after each ring number that starts like the unfinished one; of the new numbers one is enough."""
        is_open = {number for number, _, _ in state.rings}
        names = [name for name in self._ring_names if name.startswith(state.unfinished)]
        new = [name for name in names if int(name[1:]) not in is_open]
        for name in [name for name in names if int(name[1:]) in is_open] + new[:1]:
            next_state = _ring(state, int(name[1:]))
            if next_state is not None:
                yield self.fewest(next_state)

    def _ring_cost(self, number: int) -> int:
        name = _ring_name(number)
        return len(name) if set(name) <= self._single else NEVER

    def _bracket_distances(self) -> dict[str, int]:
        """The fewest characters of the vocabulary from each state in brackets to the closing one."""
        distances = dict.fromkeys(BRACKET_ATOMS, NEVER) | {"": 0}
        for _ in BRACKET_ATOMS:
            for state, transitions in BRACKET_ATOMS.items():
                candidates = [
                    distances[next_state] + 1
                    for character, next_state in transitions.items()
                    if character in self._single
                ]
                distances[state] = min(candidates, default=NEVER)
        return distances


def _ring_name(number: int) -> str:
    return str(number) if number < 10 else f"%{number}"


def _mark(state: SmilesState, character: str) -> SmilesState | None:
    """The state after a character that is not part of an atom's name."""
    position, atom, stack = state.position, state.atom, state.stack
    if position == "atom" and character in _DIGITS:
        return _ring(state, int(character))
    if position == "atom" and character == "%":
        return state._replace(unfinished="%")
    if state.bond or position == "start":
        return None
    if character in BONDS:
        return state._replace(bond=character, unfinished="")
    if position == "branch":
        return None
    if character == "(":
        return SmilesState("branch", atom, (*stack, atom), state.rings, (), "", "")
    if character == ")" and stack:
        return SmilesState("after", stack[-1], stack[:-1], state.rings, (), "", "")
    if character == ".":
        return SmilesState("start", 0, stack, state.rings, (), "", "")
    return None


def _percent(state: SmilesState, digit: str) -> SmilesState | None:
    """The state after a digit of a two-digit ring number."""
    if digit not in _DIGITS and not (digit == "0" and len(state.unfinished) == 2):
        return None
    name = state.unfinished + digit
    return _ring(state, int(name[1:])) if len(name) == 3 else state._replace(unfinished=name)


def _ring(state: SmilesState, number: int) -> SmilesState | None:
    """The state after a ring number on the newest atom, which opens a ring or closes the open ring of this number."""
    for opened in state.rings:
        if opened[0] == number:
            return _closed(state, opened)
    name = min(state.atom, number) if state.atom else number
    renamed = _renamed(state.rings, state.atom, name)
    rings = tuple(sorted((*renamed, (number, name, state.bond))))
    return SmilesState("atom", name, state.stack, rings, state.bonded, "", "")


def _closed(state: SmilesState, opened: tuple[int, int, str]) -> SmilesState | None:
    _, name, bond = opened
    # / and \ name the side of a double bond as seen from one end, so that both ends may differ.
    bonds = {"/" if symbol == "\\" else symbol for symbol in (bond, state.bond) if symbol}
    if name == state.atom or name in state.bonded or len(bonds) == 2:
        return None
    remaining = tuple(ring for ring in state.rings if ring != opened)
    new_name = min((number for number, other, _ in remaining if other == name), default=0)
    bonded = tuple(sorted((*state.bonded, new_name))) if new_name else state.bonded
    stack = tuple(new_name if other == name else other for other in state.stack)
    return SmilesState("atom", state.atom, stack, tuple(_renamed(remaining, name, new_name)), bonded, "", "")


def _renamed(rings: Sequence[tuple[int, int, str]], name: int, new_name: int) -> Iterator[tuple[int, int, str]]:
    for number, other, bond in rings:
        yield number, new_name if other == name else other, bond


def _atoms_to_come(state: SmilesState) -> Iterator[int]:
    """The fewest atoms that close all rings, for each way to continue a state without unfinished names.

    A new atom closes at most one of the open rings of another atom, and none of the atom that it is bonded to. So the
    largest number of open rings on one atom is how many atoms are needed, and one more if the first new atom can only
    be bonded to an atom with that number; all later ones can be bonded to new atoms. A dot would cost as much as an
    atom.
    """
    sizes = Counter(name for _, name, _ in state.rings)
    if state.bond or state.position in ("start", "branch"):
        largest = max(sizes.values(), default=0)
        yield max(largest, 1) if sizes[state.atom] < max(largest, 1) else largest + 1
        if state.position != "atom":
            return
        # The bond may also lead to a ring that is closed here.
        if all(_closed(state, ring) is None for ring in state.rings):
            return
    if state.position == "atom":
        for name in sizes:
            sizes[name] -= name != state.atom and name not in state.bonded
    largest = max(sizes.values(), default=0)
    yield (
        largest
        if largest == 0 or any(sizes[parent] < largest for parent in (state.atom, *state.stack))
        else largest + 1
    )
