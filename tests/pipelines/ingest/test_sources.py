"""The readers of ingest: Parquet files and folders with captions, whole and broken, on any store."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.formats import schemas
from pipelines.ingest.driver import ingest
from tests.pipelines.ingest.datasets import COLOURS, SPLITS, files, png, read, recipe, rejects, rows, write


def _no_rows(path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("image", schemas.IMAGE), ("text", pa.string())])
    pq.write_table(schema.empty_table(), path)


def _cut(path: Path) -> None:
    write(path, rows())
    path.write_bytes(path.read_bytes()[:-100])


def _rotten(path: Path) -> None:
    write(path, rows())
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * 300 + data[304:])


@pytest.mark.parametrize(
    ("spoil", "settings", "sentence"),
    [
        (lambda p: p.touch(), {}, r"a\.parquet cannot be read as Parquet"),
        (_cut, {}, r"a\.parquet cannot be read as Parquet"),
        (_rotten, {}, r"a\.parquet cannot be read as Parquet after row 0"),
        (_no_rows, {}, "a.parquet holds no row"),
        (lambda p: write(p, rows()), {"text_column": "caption"}, r"no column 'caption'; it has id, image, text"),
        (lambda p: write(p, rows()), {"image_column": "img"}, r"no column 'img'; it has"),
        (lambda p: write(p, rows()), {"id_column": "key"}, r"no column 'key'; it has"),
        (lambda p: write(p, rows()), {"group_column": "scene"}, r"no column 'scene'; it has"),
        (lambda p: write(p, rows()), {"attribute_columns": ("size",)}, r"no column 'size'; it has"),
        (lambda p: write(p, rows()), {"image_column": "text"}, "'text' is of type string; allowed is struct<bytes"),
        (lambda p: write(p, rows()), {"text_column": "image"}, "column 'image' is of type struct"),
        (lambda p: write(p, rows()), {"label_column": "text"}, "'text' is of type string; allowed is whole numbers"),
        (lambda p: write(p, rows()), {"attribute_columns": ("image",)}, "column 'image' is of type struct"),
        (
            lambda p: write(p, rows()),
            {"holdout_share": 1e-9},
            r"no row is left for val .* change ingest\.holdout_share \(1e-09",
        ),
        (lambda p: None, {}, r"a\.parquet holds no \.parquet file; give an existing file or folder"),
        (lambda p: write(p, rows()), {"holdout_uri": "/none"}, "/none holds no .parquet file"),
        (lambda p: None, {"source": "image_folder", "source_uri": "/none"}, r"/none holds no metadata\.csv or "),
    ],
)
def test_a_source_that_cannot_serve_is_refused_and_nothing_stays(
    spoil: Callable[[Path], Any], settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    spoil(tmp_path / "a.parquet")
    made = recipe(tmp_path, **{"source_uri": str(tmp_path / "a.parquet"), **settings})
    with pytest.raises(BadInput, match=sentence) as error:
        ingest(made)
    assert "\n" not in str(error.value)
    assert files(made).keys() <= {"rejects.parquet"}


def folder(path: Path, names: list[str]) -> Path:
    for i, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(png(COLOURS[i % 6], i))
    return path


NAMES = [f"{'abc'[i % 3]}/p{i}.png" for i in range(40)]
TEXTS = [f"红色圆形, 图{i}" if i % 2 else f'a "quoted", text {i}' for i in range(40)]


def _hugging_face_csv(path: Path) -> dict[str, Any]:
    pd.DataFrame({"file_name": NAMES, "text": TEXTS}).to_csv(path / "metadata.csv", index=False, encoding="utf-8-sig")
    return {}


def _hugging_face_jsonl(path: Path) -> dict[str, Any]:
    frame = pd.DataFrame({"file_name": NAMES, "text": TEXTS})
    frame.to_json(path / "metadata.jsonl", orient="records", lines=True)
    return {}


def _hugging_face_parquet(path: Path) -> dict[str, Any]:
    pd.DataFrame({"file_name": NAMES, "text": TEXTS}).to_parquet(path / "metadata.parquet")
    return {}


def _one_table_for_each_folder(path: Path) -> dict[str, Any]:
    for letter in "abc":
        chosen = [i for i in range(40) if NAMES[i][0] == letter]
        table = {"file_name": [NAMES[i][2:] for i in chosen], "text": [TEXTS[i] for i in chosen]}
        pd.DataFrame(table).to_csv(path / letter / "metadata.csv", index=False)
    return {}


def _json_list(path: Path) -> dict[str, Any]:
    table = [{"file_name": f"./{n}", "caption": t} for n, t in zip(NAMES, TEXTS, strict=True)]
    (path / "a/list.json").write_text(json.dumps(table))
    return {"captions_file": "a/list.json", "text_column": "caption"}


@pytest.mark.parametrize(
    "captions",
    [_hugging_face_csv, _hugging_face_jsonl, _hugging_face_parquet, _one_table_for_each_folder, _json_list],
)
def test_captions_of_a_folder(captions: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    source = folder(tmp_path / "in", [*NAMES, "a/extra.png", "extra.PNG"])
    settings = captions(source)
    made = recipe(tmp_path, source="image_folder", source_uri=str(source), **settings)
    manifest = ingest(made)
    assert (manifest.totals["read"], manifest.totals["images_without_caption"]) == (40, 2)
    assert manifest.totals["rejects"] == 0
    assert manifest.inputs["source"]["images"]["num_files"] == 42
    found = {row["text"]: row["image"]["bytes"] for split in SPLITS for row in read(made, split)}
    assert found.keys() == set(TEXTS)
    for name, text in zip(NAMES, TEXTS, strict=True):
        assert np.array_equal(np.asarray(Image.open(source / name)), np.asarray(Image.open(io.BytesIO(found[text]))))
    assert ingest(made) == manifest
    (source / NAMES[0]).write_bytes(png("white", 999))
    with pytest.raises(BadInput, match=r"inputs\.source\.images\.sha256 was"):
        ingest(made)


def test_bad_rows_of_a_caption_list_are_set_aside(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", NAMES)
    (tmp_path / "secret.png").write_bytes(png("red", 77))
    lines = [{"file_name": n, "text": t, "kind": "x"} for n, t in zip(NAMES, TEXTS, strict=True)]
    lines[0]["file_name"] = "../secret.png"
    lines[1]["file_name"] = str(tmp_path / "secret.png")
    lines[2]["file_name"] = "a/../../secret.png"
    lines[3]["file_name"] = "none.png"
    lines[4]["file_name"] = "a"
    lines[5].pop("text")
    lines[6]["text"] = "half a pair \ud83d"
    lines[7]["text"] = 7  # type: ignore[assignment]
    text = "\n".join(map(json.dumps, lines)) + '\n\n["a list"]\n{"file_name": "a/p0.p'
    (source / "metadata.jsonl").write_text(text)
    made = recipe(tmp_path, source="image_folder", source_uri=str(source), max_reject_share=0.5)
    totals = ingest(made).totals
    found = [reason for _, reason in sorted(rejects(made).items(), key=lambda item: int(item[0].split()[-1]))]
    assert found[:3] == [
        "file_name '../secret.png' leads out of the folder; allowed are paths inside it",
        f"file_name '{tmp_path}/secret.png' is an absolute path; allowed are paths inside the folder, from where it is",
        "file_name 'a/../../secret.png' leads out of the folder; allowed are paths inside it",
    ]
    assert found[3].startswith(f"{source}/none.png does not exist")
    assert found[4] == f"{source}/a is a folder, a pipe or a device; allowed is a file"
    assert found[5] == "has no 'text'; it has file_name, kind"
    assert found[6] == "text is no valid Unicode (surrogates not allowed)"
    assert found[7] == "text is of type int; allowed is a string"
    assert found[8] == "holds list, not an object"
    assert found[9].startswith("not JSON (")
    assert (totals["rejects"], totals["read"]) == (10, 42)


def test_csv_with_surplus_fields_labels_groups_and_attributes(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", NAMES)
    lines = [f"{n},text {i},{i % 10},g{i // 2},{'big' if i % 2 else ''}" for i, n in enumerate(NAMES)]
    lines[3] = "a/p3.png,red, but not quoted,3,g1,big"
    lines[4] = "b/p4.png,text 4,four,g2,big"
    (source / "list.csv").write_text("\r\n".join(["file_name,text,label,scene,size", *lines]))
    columns = {"label_column": "label", "group_column": "scene", "attribute_columns": ("size",)}
    settings: dict[str, Any] = {
        "source_uri": str(source),
        "captions_file": "list.csv",
        "max_reject_share": 0.1,
        **columns,
    }
    made = recipe(tmp_path, source="image_folder", **settings)
    ingest(made)
    assert sorted(rejects(made).values()) == [
        "label is 'four'; allowed are whole numbers",
        "more fields than the header; quote texts that hold a comma",
    ]
    found = {row["text"]: (split, row["label"], row["attributes"]) for split in SPLITS for row in read(made, split)}
    assert all(found[f"text {i}"][0] == found[f"text {i + 1}"][0] for i in range(6, 40, 2))
    assert found["text 7"][1:] == (7, [("size", "big")])
    assert found["text 8"][1:] == (8, None)


@pytest.mark.parametrize(
    ("name", "content", "settings", "sentence"),
    [
        (
            "metadata.csv",
            b"",
            {},
            r"metadata\.csv is empty; its first line must name the columns, 'file_name' among them",
        ),
        ("metadata.csv", b"file_name,text\n", {}, r"/in holds no row; give a source with at least one"),
        (
            "metadata.csv",
            "file_name,text\nx,y".encode("utf-16"),
            {},
            "line 1 is not CSV in UTF-8 .*must name the columns",
        ),
        ("metadata.csv", b"file_name,text,text\nx,y,z", {}, "has 2 columns 'text'; allowed is one"),
        ("metadata.csv", b"file_name,caption\nx,y", {}, "has no column 'text'; it has file_name, caption"),
        ("metadata.parquet", b"PAR1", {}, r"metadata\.parquet cannot be read as Parquet"),
        ("list.json", b'[{"file_name":', {"captions_file": "list.json"}, r"list\.json is not JSON"),
        ("list.json", b"{}", {"captions_file": "list.json"}, "holds dict; allowed is a list of objects"),
        ("list.txt", b"", {"captions_file": "list.txt"}, r"ingest\.captions_file is list\.txt; allowed are \.csv"),
        ("list.csv", b"", {"captions_file": "none.csv"}, r"none\.csv does not exist"),
        ("list.csv", b"", {}, r"holds no metadata\.csv or metadata\.jsonl or metadata\.parquet"),
    ],
)
def test_a_caption_list_that_cannot_serve_is_refused(
    name: str, content: bytes, settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    source = folder(tmp_path / "in", NAMES[:3])
    (source / name).write_bytes(content)
    made = recipe(tmp_path, source="image_folder", source_uri=str(source), **settings)
    with pytest.raises(BadInput, match=sentence):
        ingest(made)
    assert files(made) == {}


def test_any_uri_serves_as_source_and_target(tmp_path: Path) -> None:
    source = write(tmp_path / "in/a/b.parquet", rows())
    for name in ("a", "c"):
        storage.commit_bytes(f"memory://in/{name}/b.parquet", Path(source).read_bytes())
    made = recipe(tmp_path, source_uri="s3://in", dataset_uri="s3://out")
    # A recipe may not name the store of a process, which stands here for one without folders.
    uris = {"source_uri": "memory://in", "dataset_uri": "memory://out/dataset"}
    made = replace(made, ingest=replace(made.ingest, **uris))
    manifest = ingest(made)
    assert [file["uri"] for file in manifest.inputs["source"]["files"]] == ["a/b.parquet", "c/b.parquet"]
    assert manifest.totals["duplicates"] == 60
    assert ingest(made) == manifest
    plain = recipe(tmp_path, source_uri=f"file://{source}")
    assert ingest(plain).totals["dataset_digest"] == manifest.totals["dataset_digest"]


TURNS: dict[str, Any] = {
    "kind": "pairs",
    "source_column": "talk",
    "text_column": "talk",  # of which only the turns are used
    "turn_separator": "__eou__",
    "max_reject_share": 0.5,
}


def turns(made: Recipe) -> dict[str, list[tuple[str, str]]]:
    return {split: [(row["source"], row["target"]) for row in read(made, split)] for split in SPLITS}


def test_turns_stand_between_separators_and_blank_ones_are_none(tmp_path: Path) -> None:
    talks = [f"{i} hi __eou__ {i} ho\n__eou__ \n __eou____eou__{i} hm__eou__" for i in range(12)]
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", {"talk": talks}), **TURNS)
    totals = ingest(made).totals
    expected = []
    for i in range(12):
        expected += [(f"{i} hi ", f" {i} ho\n"), (f"{i} hi __eou__ {i} ho\n", f"{i} hm")]
    assert sorted(pair for held in turns(made).values() for pair in held) == sorted(expected)
    assert (totals["read"], totals["rejects"], totals["duplicates"]) == (24, 0, 0)
    ids = [row["id"] for split in SPLITS for row in read(made, split)]
    assert len(set(ids)) == 24 and all(len(row_id) == 32 for row_id in ids)
    prompts = storage.read_table([made.generate.prompts_uri]).to_pylist()
    assert [(row["prompt"], row["reference"]) for row in prompts] == turns(made)["test"]


@pytest.mark.parametrize(
    "columns",
    [{}, {"id": [f"d{i}" for i in range(60)]}, {"scene": [i // 4 for i in range(60)]}],
    ids=["content", "id", "group"],
)
def test_no_dialogue_stands_on_two_sides(columns: dict[str, list[Any]], tmp_path: Path) -> None:
    talks = [f"{i}__eou__b{i}__eou__c{i}__eou__d{i}" for i in range(60)]
    settings = TURNS | {"group_column": "scene" if "scene" in columns else None}
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", {"talk": talks, **columns}), **settings)
    assert ingest(made).totals["read"] == 180
    sides = [{int(source.split("__eou__")[0]) for source, _ in held} for held in turns(made).values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 60 and min(map(len, sides)) >= 4
    if "id" in columns:
        held = {row["id"]: row["target"] for split in SPLITS for row in read(made, split)}
        assert held == {f"d{i}-{n}": f"{'abcd'[n]}{i}" for i in range(60) for n in (1, 2, 3)}
    if "scene" in columns:  # dialogues of one scene stand together too
        scenes = [{i // 4 for i in side} for side in sides]
        assert sum(map(len, scenes)) == 15


def test_a_dialogue_that_cannot_serve_costs_itself_alone(tmp_path: Path) -> None:
    talks = [f"{i}__eou__b" for i in range(20)]
    talks[3:7] = ["alone", "alone__eou__ __eou__", "__eou__", " "]
    columns: dict[str, list[Any]] = {"id": [f"d{i}" for i in range(20)], "talk": talks}
    columns["talk"][7:9] = [None, ""]
    columns["talk"][10] = columns["talk"][9]  # asks the same and is answered the same
    source = write(tmp_path / "a.parquet", columns)
    made = recipe(tmp_path, source_uri=source, **TURNS)
    totals = ingest(made).totals
    assert rejects(made) == {
        **{f"d{i}": "the dialogue has no second turn" for i in (3, 4, 5, 6)},
        **{f"d{i}": "text is empty" for i in (7, 8)},
    }
    assert totals["duplicates"] == 1
    assert sorted(row["id"] for split in SPLITS for row in read(made, split)) == sorted(
        f"d{i}-1" for i in range(20) if i not in (*range(3, 9), 10)
    )
    places = storage.read_table([f"{made.ingest.dataset_uri}/rejects.parquet"]).column("place").to_pylist()
    assert places == [f"{source} row {i}" for i in range(3, 9)]


def test_without_a_separator_a_source_is_one_text(tmp_path: Path) -> None:
    columns = {"source": [f"{i}__eou__b" for i in range(20)], "text": [f"summary {i}" for i in range(20)]}
    made = recipe(tmp_path, kind="pairs", source_uri=write(tmp_path / "a.parquet", columns))
    ingest(made)
    expected = list(zip(columns["source"], columns["text"], strict=True))
    assert sorted(pair for held in turns(made).values() for pair in held) == sorted(expected)


def test_dialogues_of_a_holdout_leave_the_training_ones(tmp_path: Path) -> None:
    uris: dict[str, Any] = {}
    for name, numbers in (("source", range(20)), ("holdout", range(15, 25)), ("test", range(22, 30))):
        uris[f"{name}_uri"] = write(tmp_path / f"{name}.parquet", {"talk": [f"{i}__eou__b__eou__c" for i in numbers]})
    made = recipe(tmp_path, **uris, **TURNS)
    totals = ingest(made).totals
    first = {
        split: sorted({int(source.split("__eou__")[0]) for source, _ in held}) for split, held in turns(made).items()
    }
    assert first == {"train": list(range(15)), "val": list(range(15, 22)), "test": list(range(22, 30))}
    assert totals["duplicates"] == 2 * (5 + 3) and totals["read"] == 76
