"""Odd rows of a source cost themselves, each with one reason, and what is passed over is said."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ganrnn.errors import BadInput, TryAgain
from ganrnn.tasks.image_to_image import ImageToImageConfig
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.config.recipe import Recipe
from pipelines.ingest.caption_lists import caption_rows
from pipelines.ingest.driver import ingest
from pipelines.ingest.source_folder import folder_rows
from tests.pipelines.ingest.datasets import COLOURS, SPLITS, png, read, recipe, rejects, rows, write

CONFIG = IngestConfig(source="image_folder", source_uri="in", height=16, width=16)


def folder(tmp_path: Path, num: int = 30, **settings: Any) -> tuple[Path, Recipe]:
    """A folder of pictures 0.png, 1.png, ... without a list of captions."""
    source = tmp_path / "in"
    source.mkdir()
    for i in range(num):
        (source / f"{i}.png").write_bytes(png(COLOURS[i % 6], i))
    settings = {"source": "image_folder", "source_uri": str(source), "max_reject_share": 0.5, **settings}
    return source, recipe(tmp_path, **settings)


def listed(source: Path, *more: str, num: int = 30) -> None:
    lines = ["file_name,text", *(f"{i}.png,caption {i}" for i in range(num)), *more]
    (source / "metadata.csv").write_text("\n".join(lines) + "\n", errors="surrogateescape")


def csv_rows(tmp_path: Path, data: bytes) -> list[tuple[int, str]]:
    """The line of each row of a list, and its caption or its problem."""
    (tmp_path / "metadata.csv").write_bytes(b"file_name,text\n" + data)
    found = caption_rows(CONFIG, str(tmp_path / "metadata.csv"))
    return [(int(row.place.split()[-1]), row.problem or row.values["text"]) for row in found]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'b,"so called" thing\n', "is not CSV in UTF-8 (',' expected after '\"')"),
        (b'b,"never closed\n', "is not CSV in UTF-8 ("),
        (b"b," + b"x" * 140_000 + b"\n", "is not CSV in UTF-8 (field larger than field limit (131072))"),
        (b"b,caf\xe9\n", "is not CSV in UTF-8 ('utf-8' codec can't decode byte 0xe9 in position 5"),
        (b"b,c,d\n", "more fields than the header; quote texts that hold a comma"),
    ],
)
def test_a_bad_line_of_csv_costs_itself_wherever_it_stands(line: bytes, reason: str, tmp_path: Path) -> None:
    for data, expected in (
        (line + b"\na,1\n", [(2, None), (4, "1")]),
        (b"a,1\n" + line + b'c,"2\n3"\nd,4\n', [(2, "1"), (3, None), (4, "2\n3"), (6, "4")]),
        (b"a,1\n" + line, [(2, "1"), (3, None)]),
    ):
        found = csv_rows(tmp_path, data)
        assert [number for number, _ in found] == [number for number, _ in expected]
        for (_, text), (_, wanted) in zip(found, expected, strict=True):
            assert text == wanted if wanted else text.startswith(reason)


def test_an_open_quote_meets_the_next_one_and_both_lines_are_told(tmp_path: Path) -> None:
    data = b'a,"one\nb,2\nc,"three\nd,4\n'
    reasons = [reason for _, reason in csv_rows(tmp_path, data)]
    assert [reason[:19] for reason in reasons] == ["is not CSV in UTF-8", "2", "is not CSV in UTF-8", "4"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_way_and_begin_with_a_mark(end: bytes, tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + end.join([b"file_name,text", b"a,1", b"", b'b,"2, 3"', b"c,4"])
    (tmp_path / "metadata.csv").write_bytes(data)
    found = list(caption_rows(CONFIG, str(tmp_path / "metadata.csv")))
    assert [(row.place.split()[-1], row.values["text"]) for row in found] == [("2", "1"), ("4", "2, 3"), ("5", "4")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[" * 100_000, "not JSON (nested too deeply)"),
        ('{"a":' * 100_000, "not JSON (nested too deeply)"),
        (
            '{"file_name": "\\ud83d.png", "text": "t"}',
            r"file_name is '\ud83d.png'; allowed is a path inside the folder",
        ),
        ('{"file_name": "\\ud83d", "\\ud83d": 1}', r"has no 'text'; it has file_name, \ud83d"),
        ('{"file_name": ["0.png"], "text": "t"}', "file_name is ['0.png']; allowed is a path inside the folder"),
        ('{"file_name": "0.png", "text": NaN}', "text is empty"),
        ('{"file_name": "0.png", "text": {"en": "t"}}', "text is of type dict; allowed is a string"),
        ('{"file_name": "0.png", "text": "t", "id": [1]}', "id is of type list; allowed are plain values"),
        (
            '{"file_name": "x/../..", "text": "t"}',
            "file_name 'x/../..' leads out of the folder; allowed are paths inside",
        ),
        (f'{{"file_name": "0.png", "text": {"1" * 5_000}}}', "not JSON (Exceeds the limit (4300 digits)"),
    ],
    ids=["deep list", "deep object", "surrogate", "surrogate key", "list", "nan", "object", "id", "out", "long number"],
)
def test_a_bad_line_of_json_costs_itself(line: str, reason: str, tmp_path: Path) -> None:
    source, made = folder(tmp_path)
    lines = [json.dumps({"file_name": f"{i}.png", "text": f"caption {i}"}) for i in range(30)]
    (source / "metadata.jsonl").write_text("\n".join([*lines[:9], line, *lines[9:]]))
    totals = ingest(made).totals
    (found,) = rejects(made).items()
    assert found[0] in (f"{source}/metadata.jsonl line 10", "[1]") and found[1].startswith(reason)
    assert (totals["read"], totals["rejects"], totals["images_without_caption"]) == (31, 1, 0)


def test_a_picture_whose_line_is_rejected_is_counted_once(tmp_path: Path) -> None:
    source, made = folder(tmp_path)
    listed(source, "26.png,caf\udce9", "27.png,a,b", '28.png,"so called" thing', '29.png,"never closed', num=26)
    totals = ingest(made).totals
    assert (totals["read"], totals["rejects"], totals["images_without_caption"]) == (30, 4, 0)


def test_links_pipes_and_damaged_pictures_leave_the_rest_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, made = folder(tmp_path)
    listed(source, "pipe.png,a pipe", "gone.png,a link that leads nowhere", "none.png,nothing")
    os.mkfifo(source / "pipe.png")
    os.mkfifo(source / "metadata.jsonl")
    for name in ("gone.png", "unnamed.png"):
        (source / name).symlink_to("/nowhere/x.png")
    (tmp_path / "elsewhere.png").write_bytes(png("red", 77))
    (source / "link.png").symlink_to(tmp_path / "elsewhere.png")
    (source / "_more").mkdir()
    (source / "_more/metadata.csv").write_text("file_name,text\n")
    (source / "3.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    totals = ingest(made).totals
    advice = "does not exist; check the list of captions and the folder"
    assert rejects(made) == {
        f"{source}/metadata.csv line 5": "not a readable image (none of the formats that are read)",
        f"{source}/metadata.csv line 32": f"{source}/pipe.png is a folder, a pipe or a device; allowed is a file",
        f"{source}/metadata.csv line 33": f"{source}/gone.png {advice}",
        f"{source}/metadata.csv line 34": f"{source}/none.png {advice}",
        f"{source}/unnamed.png": "is a link to a file that does not exist",
    }
    assert (totals["read"], totals["images_without_caption"]) == (34, 1)
    said = "3 files are passed over for their names or kinds: _more/metadata.csv, metadata.jsonl, pipe.png\n"
    assert said in capsys.readouterr().err


def test_file_names_need_not_be_utf8(tmp_path: Path) -> None:
    source, made = folder(tmp_path)
    listed(source)
    odd = Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9"))
    odd.mkdir()
    (odd / "a.png").write_bytes(b"broken")
    (odd / "metadata.csv").write_text("file_name,text\na.png,broken\n")
    manifest = ingest(made)
    assert rejects(made).keys() == {f"{source}/caf\\udce9/metadata.csv line 2"}
    uris = [file["uri"] for file in manifest.inputs["source"]["files"]]
    assert uris == ["caf\\udce9/metadata.csv", "metadata.csv"] or uris == ["metadata.csv", "caf\\udce9/metadata.csv"]
    table = tmp_path / "tables"
    write(table / "a.parquet", rows())
    (table / "a.parquet").rename(os.fsdecode(os.fsencode(table) + b"/caf\xe9.parquet"))
    other = recipe(tmp_path / "other", source_uri=str(table))
    assert ingest(other).inputs["source"]["files"][0]["uri"] == "caf\\udce9.parquet"
    assert ingest(other).totals["read"] == 60


def test_endings_in_capitals_are_read(tmp_path: Path) -> None:
    for name in ("a.parquet", "B.PARQUET"):
        write(tmp_path / "in" / name, rows(40, id=[f"{name}{i}" for i in range(40)]))
    assert ingest(recipe(tmp_path, source_uri=str(tmp_path / "in"))).totals["read"] == 80
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "UP.TXT"):
        (texts / name).write_text("".join(f"{name} {i}. " for i in range(2_000)))
    made = recipe(tmp_path / "2", source="text_files", kind="texts", source_uri=str(texts), piece_characters=100)
    assert {row["id"].split("-")[0] for row in read_all(made)} == {"a.txt", "UP.TXT"}
    (tmp_path / "3").mkdir()
    source, made = folder(tmp_path / "3")
    listed(source)
    (source / "metadata.csv").rename(source / "Metadata.CSV")
    assert ingest(made).totals["read"] == 30


def read_all(made: Recipe) -> list[dict[str, Any]]:
    ingest(made)
    return [row for split in SPLITS for row in read(made, split)]


def test_a_value_without_an_equal_in_python_costs_its_row(tmp_path: Path) -> None:
    times = pa.array([2**63 - 1 if i == 3 else i * 10**6 for i in range(60)], pa.timestamp("us"))
    dates = pa.array([2**31 - 1 if i == 4 else i for i in range(60)], pa.int32()).cast(pa.date32())
    texts = pa.array([b"caf\xe9" if i == 5 else b"text %d" % i for i in range(60)])
    texts = pa.StringArray.from_buffers(60, *texts.buffers()[1:])
    table = pa.table(rows()).set_column(2, "text", texts).append_column("time", times).append_column("date", dates)
    pq.write_table(table, tmp_path / "a.parquet")
    settings = {"group_column": "time", "attribute_columns": ("date",), "max_reject_share": 0.1}
    made = recipe(tmp_path, source_uri=str(tmp_path / "a.parquet"), **settings)
    ingest(made)
    found = {place.split()[-1]: reason for place, reason in rejects(made).items()}
    assert found["3"].startswith("column 'time' cannot be read as timestamp[us] (")
    assert found["4"].startswith("column 'date' cannot be read as date32[day] (")
    assert found["5"].startswith("column 'text' is not UTF-8 (") and len(found) == 3


def test_nan_is_a_missing_value_as_null_is(tmp_path: Path) -> None:
    written = []
    for name, missing in (("nan", float("nan")), ("null", None)):
        price = [missing if i % 3 == 0 else i * 0.5 for i in range(60)]
        settings = {"attribute_columns": ("price",), "text_column": None, "max_reject_share": 0.5}
        source = tmp_path / name / "a.parquet"
        source.parent.mkdir()
        pq.write_table(pa.table(rows() | {"price": pa.array(price, pa.float64(), from_pandas=False)}), source)
        made = recipe(tmp_path / name, source_uri=str(source), **settings)
        ingest(made)
        assert set(rejects(made).values()) == {"price are empty: nothing to write a caption from"}
        written.append([read(made, split) for split in SPLITS])
    assert written[0] == written[1]
    assert {row["text"] for row in read(made, "train")} <= {f"price {i * 0.5}" for i in range(60)}


@pytest.mark.parametrize(("id_column", "num_rejects"), [(None, 120), ("", 0)])
def test_an_empty_name_reads_no_ids(id_column: str | None, num_rejects: int, tmp_path: Path) -> None:
    source, made = folder(tmp_path, id_column=id_column, max_reject_share=0.9)
    lines = [f"{i}.png,caption {i} {j},{i}" for i in range(30) for j in range(5)]
    (source / "metadata.csv").write_text("\n".join(["file_name,text,id", *lines]))
    totals = ingest(made).totals
    assert (totals["rejects"], totals["read"]) == (num_rejects, 150)
    sides = [{row["image"]["bytes"] for row in read(made, split)} for split in SPLITS]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 30, "a picture with several captions stays on one side"


def test_doubled_columns_are_refused(tmp_path: Path) -> None:
    columns = rows()
    names = ["image", "text", "text"]
    pq.write_table(pa.table([columns["image"], columns["text"], columns["id"]], names=names), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=r"a\.parquet has 2 columns 'text'; allowed is one"):
        ingest(recipe(tmp_path, source_uri=str(tmp_path / "a.parquet")))


def test_pairs_need_their_source_only_where_the_task_does(tmp_path: Path) -> None:
    columns = rows(60, before=[{"bytes": png("white", i), "path": None} for i in range(60)])
    columns["before"][7] = None
    source = write(tmp_path / "in/a.parquet", columns)
    for pairing, num_rejects in (("paired", 1), ("unpaired", 0)):
        made = recipe(tmp_path / pairing, source_uri=source, source_image_column="before", max_reject_share=0.1)
        task = ImageToImageConfig(height=16, width=16, pairing=pairing)  # type: ignore[arg-type]
        ingest(Recipe(made.name, made.run_uri, task, ingest=made.ingest))
        assert len(rejects(made)) == num_rejects
    made = recipe(tmp_path / "paired", source_uri=source)
    assert rejects(made) == {"r7": "before is empty; task.pairing paired needs a source picture"}


def test_bytes_that_are_no_text_cost_their_piece(tmp_path: Path) -> None:
    text = bytearray("".join(f"{i:09d} " for i in range(1_000)).encode())
    text[105] = 0xE9
    (tmp_path / "a.txt").write_bytes(text)
    settings = {"source": "text_files", "kind": "texts", "source_uri": str(tmp_path / "a.txt"), "piece_characters": 50}
    made = recipe(tmp_path, **settings)
    assert len(read_all(made)) == 199
    assert rejects(made) == {"a.txt-0000000100": "is not UTF-8"}
    (tmp_path / "a.txt").write_bytes("words".encode("utf-16"))
    with pytest.raises(BadInput, match=r"a\.txt is UTF-16; save it as UTF-8"):
        ingest(recipe(tmp_path / "2", **settings))
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(BadInput, match=r"a\.txt holds no row; give a source with at least one"):
        ingest(recipe(tmp_path / "3", **settings))


def test_a_store_that_does_not_answer_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = folder(tmp_path, num=2)
    listed(source, num=2)

    def fail(uri: str, **_: Any) -> bytes:
        raise TryAgain(f"{uri} cannot be read (SlowDown)")

    monkeypatch.setattr(storage, "read_bytes", fail)
    with pytest.raises(TryAgain, match="SlowDown"):
        list(folder_rows(CONFIG, str(source)))


def test_deep_grey_becomes_eight_bits_in_the_dataset(tmp_path: Path) -> None:
    source, made = folder(tmp_path)
    listed(source)
    ramp = np.arange(0, 65_536, 257, dtype=np.uint16).reshape(16, 16)
    for i in range(30):
        picture = ramp.copy()
        picture[0, 0] = 257 * i
        Image.fromarray(picture).save(source / f"{i}.png")
    Image.fromarray(ramp.astype(np.int32)).save(source / "30.tif")
    (source / "metadata.csv").open("a").write("30.tif,32 bits\n")
    levels = {tuple(sorted(set(Image.open(_file(row)).convert("L").tobytes()))) for row in read_all(made)}
    assert levels == {tuple(range(256)), tuple(range(1, 256))}
    (reason,) = rejects(made).values()
    assert reason.startswith("not a readable image (signed whole numbers (int32), of which none is declared white")


def _file(row: dict[str, Any]) -> Any:
    return pa.BufferReader(row["image"]["bytes"])
