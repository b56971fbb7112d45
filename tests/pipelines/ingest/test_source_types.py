"""Sources of any writer: which types a column may have, and that what is digested is what is read."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganrnn.errors import BadInput
from pipelines.ingest.driver import ingest
from pipelines.ingest.sources import describe, passed_over
from tests.pipelines.ingest.datasets import SPLITS, files, png, read, recipe, rows, write

VIEWS = pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())])


def cast(columns: dict[str, list[Any]], kinds: dict[str, pa.DataType]) -> pa.Table:
    return pa.table({name: array(values, kinds.get(name)) for name, values in columns.items()})


def array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is not None and pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


def labelled(num: int = 40) -> dict[str, list[Any]]:
    return rows(num, label=[k % 3 for k in range(num)], size=[f"s{k % 2}" for k in range(num)])


WRITERS: dict[str, dict[str, pa.DataType]] = {
    "large": {"id": pa.large_string(), "text": pa.large_string(), "size": pa.large_string(), "label": pa.uint8()},
    "views": {"id": pa.string_view(), "text": pa.string_view(), "size": pa.string_view(), "image": VIEWS},
    "dictionaries": dict.fromkeys(("id", "text", "size"), pa.dictionary(pa.int32(), pa.string()))
    | {"label": pa.dictionary(pa.int32(), pa.int64())},
    "bare views": {"image": pa.binary_view()},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_types_of_every_writer_give_the_same_data_set(writer: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"label_column": "label", "attribute_columns": ("size",)}
    columns = labelled()
    data_sets = []
    for name, kinds in (("plain", {}), (writer, WRITERS[writer])):
        (tmp_path / name).mkdir()
        given = dict(columns)
        if kinds.get("image") == pa.binary_view():
            given["image"] = [picture["bytes"] for picture in columns["image"]]
        pq.write_table(cast(given, kinds), tmp_path / name / "a.parquet")
        made = recipe(tmp_path / name, source_uri=f"{tmp_path}/{name}/a.parquet", **settings)
        ingest(made)
        data_sets.append({file: data for file, data in files(made).items() if file != "manifest.json"})
    assert data_sets[0] == data_sets[1]


def test_an_attribute_is_one_value_in_files_of_several_types(tmp_path: Path) -> None:
    columns = rows(40)
    halves = [{name: values[start : start + 20] for name, values in columns.items()} for start in (0, 20)]
    write(tmp_path / "in/a.parquet", halves[0] | {"year": [1990 + k % 2 for k in range(20)]})
    write(tmp_path / "in/b.parquet", halves[1] | {"year": [None if k % 2 else 1990.0 for k in range(20)]})
    made = recipe(tmp_path, source_uri=f"{tmp_path}/in", attribute_columns=("year",))
    ingest(made)
    years = {pair for split in SPLITS for row in read(made, split) for pair in row["attributes"] or ()}
    assert years == {("year", "1990.0"), ("year", "1991.0")}


def test_a_number_that_the_one_type_does_not_hold_is_refused_by_file_and_column(tmp_path: Path) -> None:
    write(tmp_path / "in/a.parquet", rows(20, year=[2**53 + 1] * 20))
    write(tmp_path / "in/b.parquet", rows(20, year=[0.5] * 20))
    made = recipe(tmp_path, source_uri=f"{tmp_path}/in", attribute_columns=("year",))
    with pytest.raises(BadInput, match=r"a\.parquet: column year is int64, in the set of all files it is double"):
        ingest(made)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["id", "text", "image"])
def test_two_columns_of_one_name_are_refused(name: str, tmp_path: Path) -> None:
    table = pa.table(rows(20))
    pq.write_table(table.append_column(name, table[name]), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=rf"a\.parquet has 2 columns '{name}'; allowed is one$"):
        ingest(recipe(tmp_path, source_uri=f"{tmp_path}/a.parquet"))
    assert not (tmp_path / "run").exists()


NAMES = ["a.png", "b.jfif", "c", "sub/d.heic", ".e.png", "_f/g.png"]


@pytest.mark.parametrize("changed", NAMES)
def test_what_a_list_names_is_digested_whatever_its_name(changed: str, tmp_path: Path) -> None:
    for shade, name in enumerate(NAMES):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(png("red", shade))
    lines = [f"{name},a {k}" for k, name in enumerate([*NAMES, "none.jfif", "../out.png", ""])]
    (tmp_path / "in/metadata.csv").write_text("\n".join(["file_name,text", *lines]))
    (tmp_path / "in/notes.md").write_text("not read")
    config = recipe(tmp_path, source="image_folder", source_uri=f"{tmp_path}/in").ingest
    before = describe(config, config.source_uri, 0)
    assert before["images"]["num_files"] == len(NAMES)
    assert [file.rsplit("/", 1)[1] for file in passed_over(config, config.source_uri)] == ["notes.md"]
    (tmp_path / "in" / changed).write_bytes(png("blue"))
    after = describe(config, config.source_uri, 0)
    assert after["images"] != before["images"] and after["files"] == before["files"]


def test_a_missing_picture_that_appears_is_a_difference(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/metadata.csv").write_text("file_name,text\na.jfif,x\n")
    config = recipe(tmp_path, source="image_folder", source_uri=f"{tmp_path}/in").ingest
    before = describe(config, config.source_uri, 0)["images"]
    (tmp_path / "in/a.jfif").mkdir()
    assert describe(config, config.source_uri, 0)["images"] == before
    (tmp_path / "in/a.jfif").rmdir()
    (tmp_path / "in/a.jfif").write_bytes(png("red"))
    assert describe(config, config.source_uri, 0)["images"] != before
