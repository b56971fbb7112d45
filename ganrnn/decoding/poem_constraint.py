"""Regular Chinese poems as a constraint on decoding: form, acrostic and rhyme.

>>> table = PoemTable(tokens, end, RhymeSets.read(Path("rhymes.txt").read_text("utf-8")))
>>> constraint = table.form(num_lines=4, chars_per_line=7, heads="春夏秋冬")
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganrnn.decoding.constraints import MaskCache
from ganrnn.errors import BadInput

# Unicode's ideographs: the unified ones with extensions A to I, and those for compatibility.
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")

PoemState = tuple[int, frozenset[int]]


@dataclass(frozen=True)
class RhymeSets:
    """Sets of characters that rhyme with each other; a character may be in several sets."""

    sets: tuple[frozenset[str], ...]

    @classmethod
    def read(cls, content: str) -> "RhymeSets":
        """The sets of a text file with one set of characters per line.

        White space, blank lines and lines that begin with # are ignored. Raises BadInput for any other character that
        is not a Han ideograph, and for a file without a set.
        """
        sets = []
        for number, line in enumerate(content.removeprefix("\ufeff").splitlines(), 1):
            characters = "".join(line.split())
            if not characters or characters.startswith("#"):
                continue
            if strange := [character for character in characters if not _HAN.fullmatch(character)]:
                raise BadInput(f"rhymes: line {number} holds {strange[0]!r}; allowed are Han ideographs and blanks")
            sets.append(frozenset(characters))
        if not sets:
            raise BadInput("rhymes: the file holds no set; it must have one line of characters that rhyme at least")
        return cls(tuple(sets))


class PoemTable:
    """What the poems over one vocabulary share: token indices and masks, which are computed once.

    tokens       the surface of every token; Han characters and the two marks must be single-character tokens
    end          the index of END
    rhymes       all rhymes of a poem come from one of these sets; None for poems that need not rhyme
    line_end     the mark that closes lines 1, 3, 5, ...
    couplet_end  the mark that closes lines 2, 4, 6, ...

    Raises BadInput if the vocabulary lacks a mark or has no Han character.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        end: int,
        rhymes: RhymeSets | None = None,
        line_end: str = "，",
        couplet_end: str = "。",
    ) -> None:
        assert 0 <= end < len(tokens), (end, len(tokens))
        self.num_tokens, self.end = len(tokens), end
        self.index = {surface: i for i, surface in enumerate(tokens) if len(surface) == 1 and i != end}
        han = [i for surface, i in self.index.items() if _HAN.fullmatch(surface)]
        if not han:
            raise BadInput(f"poem: the vocabulary's {len(tokens)} tokens hold no Han character of their own")
        for name, mark in (("line_end", line_end), ("couplet_end", couplet_end)):
            if mark not in self.index:
                raise BadInput(f"poem: {name} is {mark!r}; allowed is a single character that is a token")
        self.is_han = self._mask(han)
        self.marks = (self.one(self.index[line_end]), self.one(self.index[couplet_end]))
        self.ended, self.nothing = self.one(end), self._mask([])
        self._heads = MaskCache(len(tokens))
        self._rhymes = MaskCache(len(tokens))
        self._rhyme_sets: tuple[frozenset[int], ...] | None = None
        if rhymes is not None:
            known_sets = [
                frozenset(self.index[c] for c in characters & self.index.keys()) for characters in rhymes.sets
            ]
            self._rhyme_sets = tuple(known_sets)

    def form(self, num_lines: int, chars_per_line: int, heads: str = "") -> "PoemForm":
        """A constraint for one poem; see `PoemForm`."""
        return PoemForm(self, num_lines, chars_per_line, heads)

    def one(self, token: int) -> np.ndarray:
        """The mask that allows one token."""
        return self._mask([token])

    def head(self, character: str) -> np.ndarray:
        """The mask that allows one Han character. Raises BadInput if the vocabulary lacks it."""
        mask = self._heads.get(character)
        if mask is not None:
            return mask
        if not _HAN.fullmatch(character) or character not in self.index:
            raise BadInput(
                f"acrostic: {character!r} cannot begin a line; "
                "allowed are Han ideographs that the vocabulary holds, and a blank for any"
            )
        return self._heads.keep(character, self.one(self.index[character]))

    def rhyme(self, num_rhymes: int, used_rhymes: frozenset[int]) -> np.ndarray | None:
        """The mask of the unused rhymes for `used_rhymes`; None if the poem need not rhyme.

        Raises BadInput if no set contains `used_rhymes` and has `num_rhymes` characters.
        """
        if self._rhyme_sets is None or num_rhymes == 0:
            return None
        mask = self._rhymes.get((num_rhymes, used_rhymes))
        if mask is not None:
            return mask
        large = [rhyming for rhyming in self._rhyme_sets if len(rhyming) >= num_rhymes]
        if not large:
            raise BadInput(
                f"rhymes: of the {len(self._rhyme_sets)} sets the largest holds {max(map(len, self._rhyme_sets))} "
                f"characters of the vocabulary; one set needs {num_rhymes}, a character for each line that rhymes"
            )
        fitting_sets = [rhyming for rhyming in large if used_rhymes <= rhyming]
        if not fitting_sets:
            characters = "".join(sorted(character for character, i in self.index.items() if i in used_rhymes))
            raise BadInput(
                f"acrostic: {characters!r} do not rhyme, but lines of one character end in their heads; "
                f"the heads of even lines must come from one set of at least {num_rhymes}"
            )
        return self._rhymes.keep(
            (num_rhymes, used_rhymes), self._mask(sorted(frozenset().union(*fitting_sets) - used_rhymes))
        )

    def _mask(self, tokens: Sequence[int]) -> np.ndarray:
        mask = np.zeros(self.num_tokens, bool)
        mask[list(tokens)] = True
        mask.setflags(write=False)
        return mask


class PoemForm:
    """A poem of `num_lines` lines of `chars_per_line` Han characters and a mark each, and nothing else.

    num_lines       such as 4 or 8; even lines rhyme
    chars_per_line  such as 5 or 7, the mark not counted
    heads           the acrostic: line i begins with heads[i]; a blank or a missing head allows any character

    If the table has rhymes, the last characters of all even lines come from one common set and no two of them are the
    same. The state is the number of tokens and the set of rhymes among them.

    Raises BadInput for a form without lines or characters, for more heads than lines, for a head that is no Han
    character of the vocabulary, if no rhyme set is large enough, and for heads that keep lines of one character from
    rhyming.
    """

    def __init__(self, table: PoemTable, num_lines: int, chars_per_line: int, heads: str = "") -> None:
        for name, value in (("num_lines", num_lines), ("chars_per_line", chars_per_line)):
            if value < 1:
                raise BadInput(f"poem: {name} is {value}; allowed are values from 1")
        if len(heads) > num_lines:
            raise BadInput(
                f"acrostic: {heads!r} are {len(heads)} heads for {num_lines} lines; allowed is one a line at most"
            )
        self.table = table
        self.num_rhymes = num_lines // 2
        head_of_line = [heads[i : i + 1].strip(" ") for i in range(num_lines)]
        masks: list[np.ndarray] = []
        for i, head in enumerate(head_of_line):
            masks.append(table.head(head) if head else table.is_han)
            masks += [table.is_han] * (chars_per_line - 1)
            masks.append(table.marks[i % 2])
        self._masks = (*masks, table.ended)
        # Positions with a free rhyme; in lines of one character a head is a rhyme, which the others have to match.
        ends = {i * (chars_per_line + 1) + chars_per_line - 1: i for i in range(1, num_lines, 2)}
        head_rhymes = (
            [table.index[head_of_line[i]] for i in ends.values() if head_of_line[i]] if chars_per_line == 1 else []
        )
        self._given_rhymes = frozenset(head_rhymes)
        self._rhyming: frozenset[int] = frozenset()
        if table.rhyme(self.num_rhymes, self._given_rhymes) is not None:
            self._rhyming = frozenset(at for at, i in ends.items() if chars_per_line > 1 or not head_of_line[i])
            if len(head_rhymes) > len(self._given_rhymes):
                raise BadInput(f"acrostic: {heads!r} gives the same rhyme to two lines of one character; no two may be")

    def start(self) -> PoemState:
        """No token; heads of lines of one character are rhymes already."""
        return (0, self._given_rhymes)

    def allowed(self, state: PoemState, num_left: int) -> np.ndarray:
        """See `Constraint.allowed`; all False if `num_left` is less than the form still requires."""
        position, used_rhymes = state
        if num_left < len(self._masks) - 1 - position:
            return self.table.nothing
        if position in self._rhyming:
            mask = self.table.rhyme(self.num_rhymes, used_rhymes)
            assert mask is not None
            return mask
        return self._masks[position]

    def advance(self, state: PoemState, token: int) -> PoemState:
        """The state after an allowed token that is not END."""
        position, used_rhymes = state
        return (position + 1, used_rhymes | {token} if position in self._rhyming else used_rhymes)
