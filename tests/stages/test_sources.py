"""The readers of ingest: Parquet files and folders with captions, whole and broken, on any store."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ganrnn.errors import BadInput
from pipelines import schemas, storage
from pipelines.ingest import ingest
from tests.stages.datasets import COLOURS, SPLITS, files, png, read, recipe, rejects, rows, write


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
        (_no_rows, {}, "no row is left for train out of 0 read"),
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
        (lambda p: None, {"source_uri": "s4://bucket/a"}, "s4://bucket/a is no readable URI"),
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
    assert (manifest["totals"]["read"], manifest["totals"]["images_without_caption"]) == (40, 2)
    assert manifest["totals"]["rejects"] == 0
    assert manifest["inputs"]["source"]["images"]["num_files"] == 42
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
    totals = ingest(made)["totals"]
    found = [reason for _, reason in sorted(rejects(made).items(), key=lambda item: int(item[0].split()[-1]))]
    assert found[:3] == [
        "file_name '../secret.png' leads out of the folder; allowed are paths inside it",
        f"file_name '{tmp_path}/secret.png' leads out of the folder; allowed are paths inside it",
        "file_name 'a/../../secret.png' leads out of the folder; allowed are paths inside it",
    ]
    assert found[3].startswith(f"{source}/none.png does not exist")
    assert "/in/a cannot be read" in found[4]
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
        ("metadata.csv", b"", {}, r"metadata\.csv has no column 'file_name'; it has"),
        ("metadata.csv", b"file_name,caption\nx,y", {}, "has no column 'text'; it has file_name, caption"),
        ("metadata.csv", b"file_name,text\nx,\xff", {}, "is not CSV in UTF-8"),
        ("metadata.csv", b'file_name,text\nx,"never closed\n', {}, "is not CSV in UTF-8"),
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
    made = recipe(tmp_path, source_uri="memory://in", dataset_uri="memory://out/dataset")
    manifest = ingest(made)
    assert [file["uri"] for file in manifest["inputs"]["source"]["files"]] == ["a/b.parquet", "c/b.parquet"]
    assert manifest["totals"]["duplicates"] == 60
    assert ingest(made) == manifest
    plain = recipe(tmp_path, source_uri=f"file://{source}")
    assert ingest(plain)["totals"]["dataset_digest"] == manifest["totals"]["dataset_digest"]
