"""Row groups of a Parquet file, one at a time; what cannot be read is one sentence with the name of the file."""

from pathlib import Path

import pyarrow as pa
import pytest

from ganrnn.errors import BadInput
from pipelines import storage


def test_row_groups_are_read_by_number(tmp_path: Path) -> None:
    uri = f"{tmp_path}/rows.parquet"
    storage.commit_table(uri, pa.table({"id": list("abcde"), "text": list("vwxyz")}), row_group_rows=2)
    groups = storage.RowGroups(uri)
    assert groups.sizes == [2, 2, 1] and groups.schema.names == ["id", "text"]
    assert groups.read(1).to_pydict() == {"id": ["c", "d"], "text": ["x", "y"]}
    assert groups.read(2, ["text"]).to_pydict() == {"text": ["z"]}
    with pytest.raises(BadInput, match=rf"^{uri} has no column 'label'; it has id, text$"):
        groups.read(0, ["id", "label"])


def test_a_damaged_row_group_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    storage.commit_table(str(path), pa.table({"text": [f"row {number} " * 40 for number in range(400)]}))
    data = bytearray(path.read_bytes())
    data[20:200] = bytes(180)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=rf"^{path} cannot be read as Parquet") as raised:
        storage.RowGroups(str(path)).read(0)
    assert "\n" not in str(raised.value)
