"""Checks whether a finished Chinese poem has the requested form, by a regular expression.

It shares no code with the decoding constraint, so that each can test the other.
"""

import re
from collections.abc import Sequence

from ganrnn.errors import BadInput

# Unified and compatibility ideographs of Unicode 16, with the iteration mark 々 and the zero 〇.
_HAN = "[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U000323af]"


def in_form(text: str, num_lines: int, chars_per_line: int, heads: str = "") -> bool:
    """Whether a text is num_lines lines of chars_per_line Han characters, odd ones ending in ，and even ones in 。

    text:            the poem without blanks or line breaks, such as 白日依山盡，黃河入海流。
    num_lines:       at least 1
    chars_per_line:  at least 1, without the mark at the end
    heads:           line i begins with heads[i], as in an acrostic; a blank or a missing head allows any character

    Nothing else is allowed: no other mark (？；！ or a half-width comma) and no blank at either end.

    Raises BadInput if a number is below 1 or there are more heads than lines.
    """
    if num_lines < 1 or chars_per_line < 1:
        raise BadInput(f"poem form: {num_lines} lines of {chars_per_line} characters, at least 1 of 1 is needed")
    if len(heads) > num_lines:
        raise BadInput(f"poem form: heads are {heads!r}, at most {num_lines} are allowed, one for each line")
    lines = (f"{_HAN}{{{chars_per_line}}}{'，。'[i % 2]}" for i in range(num_lines))
    if not re.fullmatch("".join(lines), text):
        return False
    return all(head in (" ", first) for head, first in zip(heads, text[:: chars_per_line + 1], strict=False))


def in_rhyme(text: str, chars_per_line: int, rhymes: Sequence[str]) -> bool:
    """Whether the even lines of a text in form end in different characters, all of one of the sets `rhymes`.

    A set is a text with its characters; blanks are ignored, and so are texts that begin with #.
    """
    ends = text[2 * chars_per_line :: 2 * (chars_per_line + 1)]
    return len(set(ends)) == len(ends) and any(
        set(ends) <= set(rhyme_set) for rhyme_set in rhymes if not rhyme_set.lstrip().startswith("#")
    )
