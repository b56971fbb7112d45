"""Ingest: what a dataset holds, what is set aside and why, and that nothing leaks between the splits."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ganrnn.data.scenes import ScenesConfig, is_held_out
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats import schemas
from pipelines.formats.manifest import MANIFEST
from pipelines.ingest.driver import ingest, split_of
from tests.pipelines.ingest.datasets import COLOURS, SPLITS, files, png, read, recipe, rejects, rows, write

DATA = Path(__file__).parents[3] / "../shared/data"


# The whole path


def test_parquet_becomes_shards_prompts_and_a_manifest_that_fit_together(tmp_path: Path) -> None:
    columns = rows(90, label=range(90), size=["small", "large", None] * 30, big=[True, False] * 45)
    source = write(tmp_path / "in/a.parquet", columns)
    settings: dict[str, Any] = {
        "label_column": "label",
        "attribute_columns": ("size", "big"),
        "shard_rows": 20,
        "row_group_rows": 8,
    }
    made = recipe(tmp_path, source_uri=source, **settings)
    manifest = ingest(made)
    assert manifest.to_json() == storage.read_json(f"{made.ingest.dataset_uri}/{MANIFEST}")
    assert sorted(f"{s.split}/{s.uri[-13:]}" for s in manifest.shards) == sorted(s.uri for s in manifest.shards)
    for shard in manifest.shards:
        uri = f"{made.ingest.dataset_uri}/{shard.uri}"
        assert storage.sha256(storage.read_bytes(uri)) == shard.sha256
        file = storage.open_parquet(uri)
        assert file.schema_arrow.equals(schemas.DATASET)
        assert file.metadata.num_rows == shard.num_rows <= 20
        assert file.metadata.num_row_groups == -(-shard.num_rows // 8)
    totals = manifest.totals
    found = {split: read(made, split) for split in SPLITS}
    assert {split: len(found[split]) for split in SPLITS} == {split: totals[split] for split in SPLITS}
    assert sum(totals[split] for split in SPLITS) == totals["read"] == 90
    assert (totals["height"], totals["width"], totals["rejects"], totals["duplicates"]) == (16, 16, 0, 0)
    assert totals["dataset_digest"] == storage.sha256("".join(s.sha256 for s in manifest.shards).encode())
    expected = storage.sha256(Path(source).read_bytes())
    assert manifest.inputs["source"]["files"] == [{"uri": "a.parquet", "sha256": expected}]
    by_id = {row["id"]: row for split in SPLITS for row in found[split]}
    assert by_id.keys() == set(columns["id"])
    assert by_id["r3"] | {"image": None} == {
        **{"id": "r3", "image": None, "text": "a yellow picture 3", "label": 3},
        "attributes": [("size", "small"), ("big", "False")],
    }
    assert by_id["r5"]["attributes"] == [("big", "False")]
    prompts = storage.read_table([made.generate.prompts_uri])
    assert prompts.schema.equals(schemas.PROMPTS)
    expected_prompts = [(r["id"], r["text"], r["label"], r["attributes"]) for r in found["test"]]
    assert [tuple(row.values()) for row in prompts.to_pylist()] == expected_prompts


def test_pandas_reads_what_was_written_and_pictures_keep_their_pixels(tmp_path: Path) -> None:
    columns = rows()
    made = recipe(tmp_path, source_uri=write(tmp_path / "in/a.parquet", columns))
    ingest(made)
    frame = pd.concat(pd.read_parquet(f"{made.ingest.dataset_uri}/{split}") for split in SPLITS).set_index("id")
    for row_id, image in zip(columns["id"], columns["image"], strict=True):
        stored = Image.open(io.BytesIO(frame.loc[row_id, "image"]["bytes"]))
        assert stored.format == "PNG"
        assert np.array_equal(np.asarray(stored), np.asarray(Image.open(io.BytesIO(image["bytes"]))))


def test_two_runs_write_the_same_bytes_and_a_rerun_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in/a.parquet", rows())
    one, two = (recipe(tmp_path / name, source_uri=source) for name in ("one", "two"))
    ingest(one)
    ingest(two)
    assert {n: d for n, d in files(one).items() if n != MANIFEST} == {
        n: d for n, d in files(two).items() if n != MANIFEST
    }
    before = {p: p.stat().st_mtime_ns for p in Path(one.run_uri).rglob("*")}
    assert ingest(one).to_json() == storage.read_json(f"{one.ingest.dataset_uri}/{MANIFEST}")
    assert {p: p.stat().st_mtime_ns for p in Path(one.run_uri).rglob("*")} == before
    Path(one.run_uri).rename(tmp_path / "moved")
    moved = recipe(tmp_path, source_uri=source, dataset_uri=str(tmp_path / "moved/dataset"))
    assert ingest(moved).totals == ingest(two).totals


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 3}, "seed was 0 when this dataset was made and is 3 now; give another run_uri"),
        ({"height": 32}, "ingest.height was 16 when this dataset was made and is 32 now"),
        ({"attribute_columns": ("id",)}, r"ingest\.attribute_columns\.0 was None .* and is 'id' now"),
        ({}, r"inputs\.source\.files\.0\.sha256 was "),
    ],
)
def test_a_dataset_made_otherwise_is_refused_and_left_alone(
    change: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "in/a.parquet", rows())
    made = recipe(tmp_path, source_uri=source)
    ingest(made)
    before = files(made)
    if not change:
        write(tmp_path / "in/a.parquet", rows(61))
    with pytest.raises(BadInput, match=sentence):
        ingest(recipe(tmp_path, source_uri=source, **change))
    assert files(made) == before


def test_a_setting_or_source_file_that_is_gone_is_a_difference(tmp_path: Path) -> None:
    write(tmp_path / "in/a.parquet", rows())
    extra = Path(write(tmp_path / "in/b.parquet", rows(id=[f"b{i}" for i in range(60)])))
    source = str(tmp_path / "in")
    ingest(recipe(tmp_path, source_uri=source, attribute_columns=("id",)))
    with pytest.raises(BadInput, match=r"ingest\.attribute_columns\.0 was 'id' .* and is None now"):
        ingest(recipe(tmp_path, source_uri=source))
    extra.unlink()
    with pytest.raises(BadInput, match=r"inputs\.source\.files\.1\.sha256 was .* and is None now"):
        ingest(recipe(tmp_path, source_uri=source, attribute_columns=("id",)))


def test_what_an_unfinished_run_left_is_replaced_and_strange_files_are_kept(tmp_path: Path) -> None:
    source = write(tmp_path / "in/a.parquet", rows())
    made, clean = recipe(tmp_path / "left", source_uri=source), recipe(tmp_path / "clean", source_uri=source)
    ingest(clean)
    dataset = Path(made.ingest.dataset_uri)
    (dataset / "train").mkdir(parents=True)
    for name in ("train/00000.parquet", "prompts.parquet", "rejects.parquet"):
        (dataset / name).write_bytes(files(clean)[name])
    (dataset / "train/00000.parquet").rename(dataset / "train/00007.parquet")
    (dataset / f"train/.00001.parquet.part-{'0' * 32}").write_bytes(b"left over")
    for name in ("notes.txt", "train/.git", "train/_notes"):
        (dataset / name).write_text("mine")
    ingest(made)
    assert files(made).keys() == {*files(clean), "notes.txt", "train/.git", "train/_notes"}
    assert files(made)["train/00000.parquet"] == files(clean)["train/00000.parquet"]


@pytest.mark.parametrize("name", ["train/cats/photo.png", "test/00000.parquet", "prompts.parquet", "rejects.parquet"])
def test_a_file_of_yours_is_never_removed(name: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in/a.parquet", rows())
    strange = recipe(tmp_path / "strange", source_uri=source)
    file = Path(strange.ingest.dataset_uri) / name
    file.parent.mkdir(parents=True)
    storage.commit_table(str(file), pa.table({"prompt_id": ["a"], "prompt": ["mine"]}))
    before = files(strange)
    with pytest.raises(BadInput, match=rf"{name} was not written by ingest; give an ingest\.dataset_uri"):
        ingest(strange)
    assert files(strange) == before


# Splits


def test_no_group_stands_on_two_sides_and_shares_are_those_of_the_config(tmp_path: Path) -> None:
    columns = rows(600, group=[f"g{i // 3}" for i in range(600)])
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", columns), group_column="group", holdout_share=0.4)
    totals = ingest(made).totals
    group_of = dict(zip(columns["id"], columns["group"], strict=True))
    sides = [{group_of[row["id"]] for row in read(made, split)} for split in SPLITS]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 200
    assert totals["train"] / 600 == pytest.approx(0.6, abs=0.08)
    assert totals["val"] / 600 == pytest.approx(0.2, abs=0.06)


def test_one_picture_with_several_captions_stays_on_one_side(tmp_path: Path) -> None:
    columns = rows(120, image=[{"bytes": png("red", i // 3), "path": None} for i in range(120)])
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", columns))
    assert ingest(made).totals["duplicates"] == 0
    sides = [{row["image"]["bytes"] for row in read(made, split)} for split in SPLITS]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 40


def test_the_side_of_a_group_is_a_keyed_hash() -> None:
    groups = [f"group {i}" for i in range(2_000)]
    sides = [split_of(group, 0, 0.2) for group in groups]
    assert sides.count("val") / 2_000 == pytest.approx(0.1, abs=0.02)
    assert sides.count("test") / 2_000 == pytest.approx(0.1, abs=0.02)
    assert sides != [split_of(group, 1, 0.2) for group in groups]
    assert [split_of(f"group {i}", 0, 0.2) for i in (10, 11, 13, 14, 17, 28)] == ["train", *["val"] * 3, *["test"] * 2]
    assert {split_of(group, 0, 1.0) for group in groups} == {"val", "test"}
    assert {split_of(group, 0, 0.0) for group in groups} == {"train"}


def test_a_holdout_wins_over_training_rows_of_its_groups(tmp_path: Path) -> None:
    train = rows(40, group=[f"g{i}" for i in range(40)])
    held = rows(40, id=[f"h{i}" for i in range(40)], text=["other"] * 40, group=[f"g{i + 30}" for i in range(40)])
    made = recipe(
        tmp_path,
        source_uri=write(tmp_path / "train.parquet", train),
        holdout_uri=write(tmp_path / "val.parquet", held),
        group_column="group",
    )
    totals = ingest(made).totals
    assert (totals["train"], totals["held_out_elsewhere"]) == (30, 10)
    assert {row["id"] for row in read(made, "train")} == {f"r{i}" for i in range(30)}
    assert {row["id"][0] for split in ("val", "test") for row in read(made, split)} == {"h"}
    assert totals["val"] + totals["test"] == 40
    assert set(storage.read_json(f"{made.ingest.dataset_uri}/manifest.json")["inputs"]) == {"source", "holdout"}


def test_groups_of_a_test_file_leave_the_holdout_and_those_of_both_the_training_rows(tmp_path: Path) -> None:
    groups = {"source": range(40), "holdout": range(30, 50), "test": (*range(5, 10), *range(45, 60))}
    uris = {}
    for name, own in groups.items():
        held = rows(len(own), id=[f"{name}{i}" for i in own], text=[f"{name} {i}" for i in own], group=own)
        uris[name] = write(tmp_path / f"{name}.parquet", held)
    settings: dict[str, Any] = {"source_uri": uris["source"], "holdout_uri": uris["holdout"], "group_column": "group"}
    made = recipe(tmp_path, **settings, test_uri=uris["test"])
    manifest = ingest(made)
    assert {split: [row["id"] for row in read(made, split)] for split in SPLITS} == {
        "train": [f"source{i}" for i in (*range(5), *range(10, 30))],
        "val": [f"holdout{i}" for i in range(30, 45)],
        "test": [f"test{i}" for i in groups["test"]],
    }
    assert (manifest.totals["held_out_elsewhere"], manifest.totals["read"]) == (20, 80)
    assert [file["uri"] for file in manifest.inputs["test"]["files"]] == ["test.parquet"]
    assert ingest(made) == manifest
    with pytest.raises(BadInput, match=r"ingest\.test_uri was .* and is None now"):
        ingest(recipe(tmp_path, **settings))
    write(tmp_path / "test.parquet", rows(41, group=range(41)))
    with pytest.raises(BadInput, match=r"inputs\.test\.files\.0\.sha256 was "):
        ingest(made)


@pytest.mark.parametrize(("name", "side"), [("nlvr_boxes", 64), ("cifar10", 32)])
def test_real_pictures_do_not_leak(name: str, side: int, tmp_path: Path) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"third-party data {name} is not beside this checkout")
    uris = []
    for split in ("train", "val"):
        table = next(pq.ParquetFile(DATA / name / f"{split}.parquet").iter_batches(200))
        uris.append(str(tmp_path / f"{split}.parquet"))
        pq.write_table(pa.Table.from_batches([table]), uris[-1])
    made = recipe(tmp_path, source_uri=uris[0], holdout_uri=uris[1], height=side, width=side)
    totals = ingest(made).totals
    found = {split: read(made, split) for split in SPLITS}
    pixels = {s: {Image.open(io.BytesIO(r["image"]["bytes"])).tobytes() for r in found[s]} for s in SPLITS}
    assert not pixels["train"] & pixels["val"] and not pixels["train"] & pixels["test"]
    assert not pixels["val"] & pixels["test"]
    counted = ("train", "val", "test", "duplicates", "held_out_elsewhere", "rejects")
    assert sum(totals[kind] for kind in counted) == totals["read"] == 400
    assert totals["rejects"] == 0
    assert {Image.open(io.BytesIO(row["image"]["bytes"])).size for row in found["test"]} == {(side, side)}


# Scenes


def test_scenes_keep_their_splits_counts_and_both_languages(tmp_path: Path) -> None:
    scenes = ScenesConfig(num_train=300, num_val=100, num_test=100)
    made = recipe(tmp_path, source="scenes", scenes=scenes)
    manifest = ingest(made)
    assert [manifest.totals[split] for split in SPLITS] == [300, 100, 100]
    assert manifest.inputs["source"]["scenes"]["num_train"] == 300
    for split in SPLITS:
        found = read(made, split)
        assert {is_held_out(dict(row["attributes"])) for row in found} == {split != "train"}
        assert {row["text"].isascii() for row in found} == {True, False}
    assert ingest(made) == manifest
    with pytest.raises(BadInput, match=r"ingest\.scenes\.pair_share was 0\.1 .* and is 0\.5 now"):
        ingest(recipe(tmp_path, source="scenes", scenes=ScenesConfig(300, 100, 100, pair_share=0.5)))


# Cleaning


def test_bad_rows_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    columns = rows(200, label=range(200))
    columns["image"][0] = {"bytes": png("red")[:60], "path": None}
    columns["image"][1] = {"bytes": None, "path": "elsewhere.png"}
    columns["image"][2] = {"bytes": b"no picture", "path": None}
    columns["text"][3:5] = ["  \n", None]
    columns["id"][5:7] = ["r9", None]
    columns["label"][7] = None
    source = write(tmp_path / "a.parquet", columns)
    made = recipe(tmp_path, source_uri=source, label_column="label", max_reject_share=0.05)
    totals = ingest(made).totals
    found = rejects(made)
    assert totals["rejects"] == len(found) == 8
    assert sum(totals[split] for split in SPLITS) == 192
    assert found["r0"].startswith("not a readable image (")
    assert found["r1"] == "column 'image' holds no image bytes"
    assert found["r2"].startswith("not a readable image (")
    assert found["r3"] == found["r4"] == "text is empty"
    assert found["r9"] == "id 'r9' stands twice, on different rows; " + (
        "allowed are unique ids, or ingest.id_column '' to make them from the rows"
    )
    assert found[f"{source} row 6"] == "column 'id' is empty"
    assert found["r7"] == "column 'label' is empty"


def test_text_that_is_not_utf8_costs_one_row_only(tmp_path: Path) -> None:
    columns: dict[str, Any] = rows()
    texts = [text.encode() for text in columns["text"]]
    texts[4] = b"\xff\xfe"
    text_column = pa.Array.from_buffers(pa.string(), 60, pa.array(texts, pa.binary()).buffers())
    source = write(tmp_path / "a.parquet", {**columns, "text": text_column})
    made = recipe(tmp_path, source_uri=source, max_reject_share=0.1)
    assert ingest(made).totals["rejects"] == 1
    assert rejects(made)[f"{source} row 4"].startswith("column 'text' is not UTF-8 ('utf-8' codec")


def test_repeats_are_dropped_and_another_caption_or_label_is_no_repeat(tmp_path: Path) -> None:
    columns = rows(64, label=[0] * 64)
    for i in (60, 61, 62, 63):
        columns["image"][i], columns["text"][i] = columns["image"][0], columns["text"][0]
    columns["text"][61], columns["label"][62] = "another caption", 1
    del columns["id"]
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", columns), label_column="label")
    totals = ingest(made).totals
    assert (totals["duplicates"], totals["rejects"]) == (2, 0)
    ids = [row["id"] for split in SPLITS for row in read(made, split)]
    assert len(set(ids)) == len(ids) == 62
    assert all(len(row_id) == 32 for row_id in ids)


def test_ids_made_from_content_do_not_depend_on_row_order(tmp_path: Path) -> None:
    columns = rows()
    del columns["id"]
    one = recipe(tmp_path / "1", source_uri=write(tmp_path / "a.parquet", columns))
    two = recipe(tmp_path / "2", source_uri=write(tmp_path / "b.parquet", {k: v[::-1] for k, v in columns.items()}))
    ingest(one)
    ingest(two)
    for split in SPLITS:
        assert {r["id"]: r["text"] for r in read(one, split)} == {r["id"]: r["text"] for r in read(two, split)}


def test_pictures_of_any_size_and_format_become_one_size(tmp_path: Path) -> None:
    columns = rows(40)
    columns["image"] = [png(COLOURS[i % 6], i, size=(40 + i, 24)) for i in range(40)]
    source = write(tmp_path / "a.parquet", columns)
    made = recipe(tmp_path, source_uri=source, height=16, width=32)
    ingest(made)
    for row in read(made, "train"):
        picture = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert (picture.size, picture.mode) == ((32, 16), "RGB")
        colour = Image.new("RGB", (1, 1), row["text"].split()[1]).getpixel((0, 0))
        assert picture.getpixel((20, 8)) == colour


def test_too_many_rejects_stop_the_run_and_leave_only_the_reasons(tmp_path: Path) -> None:
    columns = rows(100)
    columns["text"][40:42] = ["", ""]
    source = write(tmp_path / "a.parquet", columns)
    made = recipe(tmp_path, source_uri=source, shard_rows=5)
    with pytest.raises(BadInput) as error:
        ingest(made)
    assert str(error.value) == (
        f"{source}: 2 of 100 rows (2.0%) are rejected, ingest.max_reject_share allows 1.0%; the first: "
        f"{source} row 40: text is empty (all are in {made.ingest.dataset_uri}/rejects.parquet)"
    )
    assert files(made).keys() == {"rejects.parquet"}
    assert ingest(recipe(tmp_path, source_uri=source, max_reject_share=0.02)).totals["rejects"] == 2


def test_a_dataset_inside_its_source_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in/train/a.parquet", rows())
    for dataset_uri in (tmp_path / "in", tmp_path / "in/out", tmp_path):
        with pytest.raises(BadInput, match=r"ingest\.source_uri .* overlap; give a folder apart"):
            ingest(recipe(tmp_path, source_uri=str(tmp_path / "in"), dataset_uri=str(dataset_uri)))
    held = {"holdout_uri": source, "test_uri": f"{tmp_path}/test", "dataset_uri": f"{tmp_path}/test/out"}
    with pytest.raises(BadInput, match=r"ingest\.test_uri .* overlap; give a folder apart"):
        ingest(recipe(tmp_path, 0, source_uri=source, **held))
    assert Path(source).exists()


def test_a_full_disk_leaves_nothing_that_a_later_run_would_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", rows()), shard_rows=10)
    written = []

    def fsync(number: int) -> None:
        written.append(number)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(BadInput, match=r"cannot be written \(no space left on device\)"):
            ingest(made)
    assert len(written) == 4
    assert files(made) == {}
    assert ingest(made).totals["read"] == 60
