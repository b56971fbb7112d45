"""The constraint that a row asks for by its `Decoding`."""

from functools import lru_cache

from ganrnn.decoding.constraints import Alphabet, Conjunction, Constraint, Pattern
from ganrnn.decoding.poem_constraint import PoemTable, RhymeSets
from ganrnn.decoding.rules import Decoding
from ganrnn.decoding.smiles_constraint import Smiles
from ganrnn.text.vocabulary import END, TextVocabulary


class RowConstraints:
    """Makes constraints over one vocabulary; rows that ask for the same have the same one, with its masks."""

    def __init__(self, vocabulary: TextVocabulary) -> None:
        self.tokens: tuple[str, ...] = vocabulary.surfaces  # type: ignore[attr-defined]
        self._poems = lru_cache(maxsize=16)(self._poem_table)
        self._smiles = lru_cache(maxsize=1)(lambda: Smiles(self.tokens, END))
        self._alphabet = lru_cache(maxsize=16)(lambda characters: Alphabet(self.tokens, END, characters))
        self._pattern = lru_cache(maxsize=16)(lambda expression: Pattern(self.tokens, END, expression))

    def of(self, rules: Decoding) -> Constraint | None:
        """All that a row asks for at once, None where it asks for nothing; BadInput where it cannot be met."""
        found: list[Constraint] = []
        if rules.constraint == "poem":
            found.append(self._poems(rules.rhymes).form(rules.num_lines, rules.chars_per_line, rules.heads))
        if rules.constraint == "smiles":
            found.append(self._smiles())
        if rules.alphabet:
            found.append(self._alphabet(rules.alphabet))
        if rules.pattern:
            found.append(self._pattern(rules.pattern))
        return Conjunction(found) if len(found) > 1 else found[0] if found else None

    def _poem_table(self, rhymes: tuple[str, ...]) -> PoemTable:
        return PoemTable(self.tokens, END, RhymeSets.read("\n".join(rhymes)) if rhymes else None)
