"""Marks that belong to the letter before them: accents, vowel signs, points, joiners, variation selectors.

Python's `re` takes them for neither letters nor space. `mark_places` puts one code point in their places, so that an
expression can name them.
"""

import unicodedata

MARK = "\uffff"  # no character, by the Unicode standard
_JOINERS = (0x200C, 0x200D)


class _Places(dict[int, str]):
    """By code point: MARK for marks, itself for others; filled as characters occur."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_mark = code in _JOINERS or unicodedata.category(character).startswith("M")
        self[code] = MARK if is_mark else character
        return self[code]


_places = _Places()


def mark_places(text: str) -> str:
    """The text, of the same length, with MARK in the place of each mark."""
    return text if text.isascii() else text.translate(_places)
