"""Planning: any number of prompts in flat memory, the same rows however they are cut, double ids found."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganrnn.errors import BadInput
from pipelines.formats import prompts, unique_ids
from pipelines.formats.prompts import PromptSet, ShardReader


def write(path: Path, ids: list[str], row_group_rows: int = 7) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"prompt_id": pa.array(ids, pa.string()), "prompt": pa.array([f"a {i}" for i in ids], pa.string())}
    pq.write_table(pa.table(columns), path, row_group_size=row_group_rows)
    return str(path)


def test_shards_are_all_rows_in_order_whatever_the_files_and_sizes(tmp_path: Path) -> None:
    sizes = [13, 1, 40, 0, 5]
    ids = [f"p{i}" for i in range(sum(sizes))]
    rest = iter(ids)
    uris = [write(tmp_path / f"{n}.parquet", [next(rest) for _ in range(size)]) for n, size in enumerate(sizes)]
    for shard_rows in (1, 7, 20, 59, 1000):
        planned = prompts.plan(uris, ["prompt"], shard_rows, 0)
        shards = [planned.shard(index) for index in range(planned.num_shards)]
        assert [shard.num_rows for shard in shards[:-1]] == [shard_rows] * (len(shards) - 1)
        reader = ShardReader()
        order = random.Random(0).sample(range(len(shards)), len(shards))
        read = {i: reader.read(shards[i]).column("prompt_id").to_pylist() for i in order}
        assert [i for index in range(len(shards)) for i in read[index]] == ids


def test_a_billion_rows_are_planned_by_arithmetic() -> None:
    planned = PromptSet(tuple(f"{i}.parquet" for i in range(1000)), (1_000_000,) * 1000, 4_000, "")
    assert planned.num_rows == 10**9 and planned.num_shards == 250_000
    assert planned.shard(0).parts == (("0.parquet", 0, 4_000),)
    assert planned.shard(249_999).parts == (("999.parquet", 996_000, 1_000_000),)
    uneven = PromptSet(("a", "b"), (5, 10), 8, "")
    assert [uneven.shard(i).parts for i in range(2)] == [(("a", 0, 5), ("b", 0, 3)), (("b", 3, 10),)]


@pytest.mark.parametrize("held", [1 << 21, 16])
def test_a_double_id_is_found_among_many_with_and_without_the_disk(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unique_ids, "_HASHES_IN_MEMORY", held)
    ids = [f"行{i}" for i in range(5_000)]
    a, b = write(tmp_path / "a.parquet", ids[:3000], 100), write(tmp_path / "b.parquet", ids[3000:], 100)
    assert prompts.plan([a, b], ["prompt"], 512, 0).num_rows == 5_000
    c = write(tmp_path / "c.parquet", ["new", "行77"])
    with pytest.raises(BadInput, match=r"c\.parquet: prompt_id '行77' is not unique"):
        prompts.plan([a, b, c], ["prompt"], 512, 0)


def test_equal_hashes_of_different_ids_are_no_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = unique_ids._hashes
    monkeypatch.setattr(unique_ids, "_hashes", lambda ids: hashes(ids) & 0xFF)
    uri = write(tmp_path / "a.parquet", [f"p{i}" for i in range(1000)])
    assert prompts.plan([uri], ["prompt"], 512, 0).num_rows == 1000


def test_hive_partitions_are_selected(tmp_path: Path) -> None:
    for day in ("2026-01-30", "2026-01-31", "2026-02-01"):
        for language in ("en", "zh"):
            write(tmp_path / f"p/day={day}/language={language}/a.parquet", [f"{day}{language}"])
    root = f"{tmp_path}/p"

    def found(since: dict[str, str], where: dict[str, str]) -> list[str]:
        return [uri.removeprefix(f"{root}/day=").removesuffix("/a.parquet") for uri in prompts.find(root, since, where)]

    assert len(found({}, {})) == 6
    assert found({"day": "2026-01-31"}, {"language": "zh"}) == ["2026-01-31/language=zh", "2026-02-01/language=zh"]
    assert found({"day": "2026-02"}, {}) == ["2026-02-01/language=en", "2026-02-01/language=zh"]
    with pytest.raises(BadInput, match=r"has no partition with day from 2027 and language=zh; it has day=2026-01-30, "):
        found({"day": "2027"}, {"language": "zh"})
    with pytest.raises(BadInput, match="has no partition with hour=3; it has"):
        found({}, {"hour": "3"})


def not_utf8(values: list[bytes]) -> pa.Array:
    """Texts as writers leave them that do not check what they write."""
    array = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(values), *array.buffers()[1:])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_prompt_that_is_not_utf8_costs_its_row(kind: pa.DataType, tmp_path: Path) -> None:
    texts = not_utf8([b"caf\xe9" if i == 3 else b"a red circle" for i in range(30)]).cast(kind)
    passed_on = not_utf8([b"\xff" if i == 17 else b"note" for i in range(30)])
    columns = {"prompt_id": [f"p{i}" for i in range(30)], "prompt": texts, "note": passed_on}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=7)
    planned = prompts.plan([str(tmp_path / "a.parquet")], ["prompt"], 20, 0.1)
    rejects = {}
    for index in range(planned.num_shards):
        kept, reasons = prompts.sampled(ShardReader().read(planned.shard(index)), ["prompt"])
        kept.validate(full=True)
        rejects |= reasons
    assert rejects == {"p3": "column 'prompt' is not UTF-8", "p17": "column 'note' is not UTF-8"}
    with pytest.raises(BadInput, match=r"1 of 30 rows have an empty prompt, the first 'p3'"):
        prompts.plan([str(tmp_path / "a.parquet")], ["prompt"], 20, 0)


def test_an_id_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    ids = not_utf8([b"caf\xe9" if i == 3 else b"p%d" % i for i in range(30)])
    pq.write_table(pa.table({"prompt_id": ids, "prompt": ["a red circle"] * 30}), tmp_path / "a.parquet")
    with pytest.raises(
        BadInput, match=r"a\.parquet: prompt_id b'caf\\xe9' is not UTF-8; every row needs an id that is"
    ):
        prompts.plan([str(tmp_path / "a.parquet")], ["prompt"], 20, 0.5)
