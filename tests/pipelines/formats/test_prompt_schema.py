"""Files of different writers are one prompt set, of one schema that planning decides, or are refused by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganrnn.errors import BadInput
from pipelines.formats import prompts
from pipelines.formats.prompts import PromptSet, ShardReader
from pipelines.formats.schemas import ATTRIBUTES, IMAGE

TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())]
NUM = 6


def array(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is not None and pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def planned(folder: Path, *files: Mapping[str, Any], columns: Sequence[str] = ("prompt",)) -> PromptSet:
    """A set of files of six rows, in shards of four rows, from further columns of each."""
    uris = []
    for number, further in enumerate(files):
        ids = [f"{number}-{row}" for row in range(NUM)]
        uris.append(f"{folder}/{number}.parquet")
        table = pa.table({"prompt_id": ids, "prompt": ["a"] * NUM} | dict(further))
        # Arrow cannot write a part of views in a struct.
        pq.write_table(table, uris[-1], row_group_size=NUM if "source_image" in table.column_names else 5)
    return prompts.plan(uris, columns, 4, 0)


def shards(prompt_set: PromptSet) -> list[pa.Table]:
    reader = ShardReader()
    return [reader.read(prompt_set.shard(index)) for index in range(prompt_set.num_shards)]


def column(folder: Path, *arrays: pa.Array) -> tuple[pa.DataType, list[Any]]:
    """The type and the values that a further column of several files has in all shards."""
    tables = shards(planned(folder, *({"x": values} for values in arrays)))
    (kind,) = {table.schema.field("x").type for table in tables}
    return kind, [value for table in tables for value in table.column("x").to_pylist()]


UNITED: dict[str, tuple[list[tuple[list[Any], pa.DataType]], pa.DataType]] = {
    "texts": ([(["a", None] * 3, kind) for kind in TEXTS], pa.large_string()),
    "short texts": ([(["a"] * 6, TEXTS[2]), (["b"] * 6, pa.dictionary(pa.int32(), pa.string()))], pa.string()),
    "integers": ([([-1] * 6, pa.int32()), ([2**62] * 6, pa.int64()), ([255] * 6, pa.uint8())], pa.int64()),
    "no sign": ([([1] * 6, pa.uint64()), ([-1] * 6, pa.int8())], pa.int64()),
    "floats": ([([0.5] * 6, pa.float32()), ([1e300] * 6, pa.float64())], pa.float64()),
    "mixed numbers": ([([2**53] * 6, pa.int64()), ([0.5] * 6, pa.float64())], pa.float64()),
    "null first": ([([None] * 6, pa.null()), (["a"] * 6, TEXTS[2])], pa.string()),
    "null last": ([([[1]] * 6, pa.list_(pa.int8())), ([None] * 6, pa.null())], pa.list_(pa.int8())),
    "lists": ([([["a"]] * 6, pa.list_(TEXTS[0])), ([["b"]] * 6, pa.list_(TEXTS[2]))], pa.list_(pa.string())),
    "structs": (
        [([{"k": 1}] * 6, pa.struct({"k": pa.int8()})), ([{"k": 2}] * 6, pa.struct({"k": pa.int64()}))],
        pa.struct({"k": pa.int64()}),
    ),
    "one view": ([(["a"] * 6, pa.string_view())], pa.string()),
    "one list of views": ([([[b"a"]] * 6, pa.list_(pa.binary_view()))], pa.list_(pa.binary())),
}


@pytest.mark.parametrize("case", UNITED)
def test_a_column_has_one_type_in_all_shards(case: str, tmp_path: Path) -> None:
    files, kind = UNITED[case]
    values = [value for values, _ in files for value in values]
    united, read = column(tmp_path, *(array(values, each) for values, each in files))
    assert united == kind and read == values


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (["a"] * 6, [1] * 6, r"1\.parquet: column x is int64, in .*0\.parquet it is string; give one type"),
        ([True] * 6, [1] * 6, r"1\.parquet: column x is int64, in .*0\.parquet it is bool"),
        ([2**53 + 1] * 6, [0.5] * 6, r"0\.parquet: column x is int64, in the set of all files it is double \(Integer"),
        (pa.array([2**63] * 6, pa.uint64()), [-1] * 6, r"0\.parquet: column x is uint64, .* it is int64"),
    ],
)
def test_what_has_no_common_type_is_refused_by_file_and_column(
    first: Any, second: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence):
        planned(tmp_path, {"x": first}, {"x": second})


@pytest.mark.parametrize("kind", TEXTS)
def test_ids_prompts_and_labels_of_any_writer_are_read(kind: pa.DataType, tmp_path: Path) -> None:
    files: list[dict[str, Any]] = [{}, {}]
    files[1] = {
        "prompt_id": array([f"q{row}" for row in range(NUM)], kind),
        "prompt": array([" b"] * NUM, kind),
        "label": array([7] * NUM, pa.dictionary(pa.int8(), pa.int16())),
    }
    prompt_set = planned(tmp_path, {"label": pa.array([3] * NUM, pa.uint8())}, files[1], columns=("prompt", "label"))
    rows = pa.concat_tables(shards(prompt_set))
    assert rows.column("prompt_id").to_pylist()[5:8] == ["0-5", "q0", "q1"]
    assert rows.column("label").to_pylist() == [3] * NUM + [7] * NUM
    with pytest.raises(BadInput, match=r"2\.parquet: prompt_id 'q0' is not unique"):
        planned(tmp_path, {"label": [1] * NUM}, files[1], files[1], columns=("prompt", "label"))


def test_pictures_and_attributes_of_any_writer_are_read(tmp_path: Path) -> None:
    views = pa.struct([("path", pa.string_view()), ("bytes", pa.binary_view())])
    picture, pairs = [{"bytes": b"x", "path": None}] * NUM, [[("k", "v")]] * NUM
    files: list[dict[str, Any]] = [
        {"source_image": pa.array(picture, kind), "attributes": pa.array(pairs, attributes)}
        for kind, attributes in ((IMAGE, ATTRIBUTES), (views, pa.map_(pa.string_view(), pa.large_string())))
    ]
    rows = pa.concat_tables(shards(planned(tmp_path, *files, columns=("source_image", "attributes"))))
    assert rows.schema.field("source_image").type == IMAGE and rows.schema.field("attributes").type == ATTRIBUTES
    assert rows.column("source_image").to_pylist() == picture * 2 and rows.column("attributes").to_pylist() == pairs * 2


def test_a_further_column_of_one_file_is_null_in_the_others(tmp_path: Path) -> None:
    tables = shards(planned(tmp_path, {}, {"note": ["n"] * NUM}, {"seed": [1] * NUM}))
    assert {tuple(table.column_names) for table in tables} == {("prompt_id", "prompt", "note", "seed")}
    assert pa.concat_tables(tables).column("note").to_pylist() == [None] * NUM + ["n"] * NUM + [None] * NUM


def test_files_that_agree_keep_their_types_and_order(tmp_path: Path) -> None:
    note = pa.array(["n"] * NUM, pa.large_string())
    prompt_set = planned(tmp_path, {"note": note, "k": [1] * NUM}, {"k": [1] * NUM, "note": note})
    assert prompt_set.schema is None
    assert [table.column_names[2:] for table in shards(prompt_set)] == [["note", "k"], ["note", "k"], ["k", "note"]]


def test_seeds_have_64_bits_and_a_sign_or_none(tmp_path: Path) -> None:
    def seeds(*files: pa.Array) -> tuple[pa.DataType, list[int]]:
        tables = shards(planned(tmp_path, *({"seed": values} for values in files)))
        return tables[0].schema.field("seed").type, [prompts.expand(table, -9)[2][0] for table in tables]

    large = pa.array([2**63, 2**64 - 1] * 3, pa.uint64())
    assert seeds(large) == (pa.uint64(), [2**63] * 2)
    assert seeds(pa.array([2**63 - 1] * NUM, pa.uint64())) == (pa.int64(), [2**63 - 1] * 2)
    assert seeds(pa.array([-(2**63)] * NUM), pa.array([5] * NUM, pa.uint64())) == (pa.int64(), [-(2**63)] * 2 + [5])
    assert seeds(pa.nulls(NUM), pa.array([5] * NUM, pa.int8())) == (pa.int8(), [-9, -9, 5])
    with pytest.raises(BadInput, match=r"1\.parquet: column seed is uint64, in the set of all files it is int64"):
        seeds(pa.array([-1] * NUM), large)
    with pytest.raises(BadInput, match=r"generate\.seed is -9; prompts have seeds from 2\^63 up, next to which"):
        planned(tmp_path, {"seed": large}).require_seed(-9)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table({"prompt_id": ["a"], "prompt": ["b"], "note": ["c"]})
    for name in table.column_names:
        pq.write_table(table.append_column(name, table[name]), tmp_path / "a.parquet")
        with pytest.raises(BadInput, match=rf"a\.parquet has 2 columns '{name}'; allowed is one$"):
            prompts.plan([f"{tmp_path}/a.parquet"], ["prompt"], 4, 0)


def test_files_without_rows_pass_where_they_may(tmp_path: Path) -> None:
    uri = f"{tmp_path}/a.parquet"
    pq.write_table(pa.table({"prompt_id": pa.nulls(0), "prompt": pa.nulls(0)}), uri)
    assert prompts.plan([uri], ["prompt"], 4, 0, may_be_empty=True).num_shards == 0
    with pytest.raises(BadInput, match="holds no row; give at least one prompt"):
        prompts.plan([uri], ["prompt"], 4, 0)
