"""The constraint that the `Decoding` of a row requires."""

from functools import lru_cache

from ganrnn.decoding.constraints import Alphabet, Conjunction, Constraint, Pattern
from ganrnn.decoding.poem_constraint import PoemTable, RhymeSets
from ganrnn.decoding.rules import Decoding
from ganrnn.decoding.smiles_constraint import Smiles
from ganrnn.text.vocabulary import END, TextVocabulary


class RowConstraints:
    """Builds constraints over one vocabulary; rows with equal rules share a constraint and its masks."""

    def __init__(self, vocabulary: TextVocabulary) -> None:
        self.tokens: tuple[str, ...] = vocabulary.surfaces  # type: ignore[attr-defined]
        self._poems = lru_cache(maxsize=16)(self._poem_table)
        self._smiles = lru_cache(maxsize=1)(lambda: Smiles(self.tokens, END))
        self._alphabet = lru_cache(maxsize=16)(lambda characters: Alphabet(self.tokens, END, characters))
        self._pattern = lru_cache(maxsize=16)(lambda expression: Pattern(self.tokens, END, expression))

    def of(self, rules: Decoding) -> Constraint | None:
        """The conjunction of a row's constraints, None if it has none. Raises BadInput if one cannot be met."""
        constraints: list[Constraint] = []
        if rules.constraint == "poem":
            constraints.append(self._poems(rules.rhymes).form(rules.num_lines, rules.chars_per_line, rules.heads))
        if rules.constraint == "smiles":
            constraints.append(self._smiles())
        if rules.alphabet:
            constraints.append(self._alphabet(rules.alphabet))
        if rules.pattern:
            constraints.append(self._pattern(rules.pattern))
        return Conjunction(constraints) if len(constraints) > 1 else constraints[0] if constraints else None

    def _poem_table(self, rhymes: tuple[str, ...]) -> PoemTable:
        return PoemTable(self.tokens, END, RhymeSets.read("\n".join(rhymes)) if rhymes else None)
