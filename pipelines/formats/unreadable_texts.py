"""Prompt rows with texts that are not UTF-8: some writers do not check them, and Python cannot read them."""

import pyarrow as pa
import pyarrow.compute as pc


def unreadable(column: pa.ChunkedArray) -> pa.BooleanArray | None:
    """Which values of a column [N] are texts that are not UTF-8; None where there are none."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    try:
        column.validate(full=True)
        return None
    except pa.ArrowInvalid:
        values = column.cast(pa.large_binary()).to_pylist()
        return pa.array([value is not None and not _is_utf8(value) for value in values], pa.bool_())


def without_unreadable(table: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """The rows of prompts whose texts are all UTF-8, and the reason for each of the others by its id."""
    rejects: dict[str, str] = {}
    for name in table.column_names:
        is_bad = unreadable(table.column(name))
        if is_bad is not None:
            ids = table.column("prompt_id").filter(is_bad).to_pylist()
            rejects |= dict.fromkeys(ids, f"column {name!r} is not UTF-8")
            table = table.filter(pc.invert(is_bad))
    return table, rejects


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
