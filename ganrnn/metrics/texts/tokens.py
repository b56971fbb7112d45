"""What the scores of texts take for a token: a word, a character, or an atom or bond of SMILES."""

import re
from typing import Literal

from ganrnn.text.captions import tokenise

TokenKind = Literal["word", "character", "smiles"]

_SMILES = re.compile(r"\[[^\]]*\]|Br|Cl|%[0-9]{2}|\S", re.ASCII)


def tokens_of(text: str, kind: TokenKind) -> list[str]:
    """Words and characters as in `tokenise`. Case has a meaning in SMILES: C is aliphatic, c aromatic carbon."""
    return _SMILES.findall(text) if kind == "smiles" else tokenise(text, kind)
