"""Which captions mean the same: those of equal attributes where these say all of a picture, else of equal words."""

from collections.abc import Mapping, Sequence
from typing import Any

from ganrnn.text.captions import caption_of, meaning_key


def is_told_by_attributes(built_in: object, captions: str, condition: str) -> bool:
    """Whether the attributes of a picture say all that it is asked to show.

    They do for built-in data, for a network that reads them (evaluate.captions) and for a task that is conditioned on
    them. Any other attribute may be there to group by, and says nothing of what captions mean.
    """
    return bool(built_in) or "attributes" in (captions, condition)


def meanings(
    texts: Sequence[str], attributes: Sequence[Mapping[str, str] | Sequence[Any] | None], by_attributes: bool
) -> list[int]:
    """The meaning of each caption; a text that is empty or repeats the attributes means what they do."""
    return [
        meaning_key(text, pairs if by_attributes or text in ("", caption_of(pairs)) else None)
        for text, pairs in zip(texts, attributes, strict=True)
    ]
