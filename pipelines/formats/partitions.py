"""Hive partitions, the KEY=VALUE folders of a path: which of them a selection keeps.

Where all values of a key are numbers or dates they compare as such: `month=10` comes after `month=9`. Others are texts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from urllib.parse import unquote

from ganrnn.errors import BadInput

_HIVE = re.compile(r"(?:^|/)([^/=]+)=([^/]+)(?=/)")
_NULL = "__HIVE_DEFAULT_PARTITION__"  # how Hive, Spark and Arrow write the partition of rows without a value
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_TIME = r"[T ]\d{1,2}(:\d{1,2}(:\d{1,2}(\.\d+)?)?)?Z?"
_DATE = re.compile(rf"\d{{4}}(-\d{{1,2}}(-\d{{1,2}}({_TIME})?)?)?")

Value = str | int | float
Kind = Literal["numbers", "dates", "texts"]
Position = str | Decimal | tuple[Decimal, ...]


def keys_of(uri: str) -> dict[str, str]:
    """The partition keys of a file and their values, without the escapes that writers use in names of folders."""
    return {key: unquote(value) for key, value in _HIVE.findall(uri)}


@dataclass(frozen=True)
class Selection:
    """A value that is wanted of a key, and how it compares with those that there are."""

    kind: Kind
    wanted: Position

    @classmethod
    def of(cls, value: Value, values: Sequence[str]) -> "Selection":
        """`values` are those of all files; numbers and dates compare as such where all of them are."""
        wanted = unquote(str(value))
        kind = _kind_of([wanted, *(each for each in values if each != _NULL)])
        return cls(kind, _position(wanted, kind))

    @classmethod
    def from_key(cls, key: str, value: Value, values: Sequence[str]) -> "Selection":
        """The first value of generate.since; BadInput where it has no place in the order of those that there are."""
        present = [each for each in values if each != _NULL]
        selection, kind = cls.of(value, values), _kind_of(present)
        if present and selection.kind == "texts" and (kind != "texts" or not isinstance(value, str)):
            raise BadInput(f"generate.since.{key} is {value!r}; the values of this partition are {kind}, give one")
        return selection

    def starts(self, value: str | None) -> bool:
        """Whether a value is the wanted one or comes after it."""
        position = None if value is None or value == _NULL else _position(value, self.kind)
        return position is not None and position >= self.wanted  # type: ignore[operator]  # both are of one kind

    def equals(self, value: str | None) -> bool:
        """Whether a value is the wanted one."""
        if value is None or (value == _NULL and self.kind != "texts"):
            return False
        return _position(value, self.kind) == self.wanted


def selected(
    uris: Sequence[str], since: Mapping[str, Value], where: Mapping[str, Value]
) -> tuple[list[str], list[str]]:
    """The files in the partitions asked for, and all partitions KEY=VALUE that there are."""
    keys = {uri: keys_of(uri) for uri in uris}
    values: dict[str, list[str]] = {}
    for each in keys.values():
        for key, value in each.items():
            values.setdefault(key, []).append(value)
    first = {key: Selection.from_key(key, value, values.get(key, [])) for key, value in since.items()}
    exact = {key: Selection.of(value, values.get(key, [])) for key, value in where.items()}
    kept = [
        uri
        for uri, each in keys.items()
        if all(selection.starts(each.get(key)) for key, selection in first.items())
        and all(selection.equals(each.get(key)) for key, selection in exact.items())
    ]
    return kept, sorted({f"{key}={value}" for key, texts in values.items() for value in texts})


def _kind_of(values: Sequence[str]) -> Kind:
    if all(map(_NUMBER.fullmatch, values)):
        return "numbers"
    return "dates" if all(map(_DATE.fullmatch, values)) else "texts"


def _position(value: str, kind: Kind) -> Position:
    if kind == "numbers":
        return Decimal(value)
    return tuple(map(Decimal, re.findall(r"\d+(?:\.\d+)?", value))) if kind == "dates" else value
