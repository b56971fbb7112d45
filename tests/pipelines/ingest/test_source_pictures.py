"""Data sets whose rows bring the picture that theirs is to be made from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganrnn.data.images import decode
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.ingest.driver import ingest
from tests.pipelines.ingest.datasets import COLOURS, SPLITS, png, read, recipe, rejects, rows, write


def pictures(size: tuple[int, int] = (16, 16)) -> list[dict[str, object]]:
    return [{"bytes": png(COLOURS[(i + 1) % 6], i, size), "path": None} for i in range(60)]


def test_a_column_of_pictures_goes_into_rows_and_prompts(tmp_path: Path) -> None:
    source = write(tmp_path / "in/a.parquet", rows(60, before=pictures((32, 24))))
    made = recipe(tmp_path, source_uri=source, source_image_column="before")
    totals = ingest(made).totals
    assert totals["rejects"] == 0
    for split in SPLITS:
        for row in read(made, split):
            before, after = (decode(row[name]["bytes"]) for name in ("source_image", "image"))
            number = int(row["id"][1:])
            assert before.size == (16, 16)
            wanted = decode(png(COLOURS[(number + 1) % 6])).getpixel((8, 8))
            assert before.getpixel((8, 8)) == wanted != after.getpixel((8, 8))
    prompts = storage.read_table([made.generate.prompts_uri]).to_pylist()
    assert [row["source_image"] for row in prompts] == [row["source_image"] for row in read(made, "test")]


def test_a_folder_names_the_source_of_each_picture(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "before").mkdir(parents=True)
    for i in range(40):
        (folder / f"{i}.png").write_bytes(png("red", i))
        (folder / f"before/{i}.png").write_bytes(png("blue", i))
    names = {"file_name": [f"{i}.png" for i in range(40)], "before": [f"before/{i}.png" for i in range(40)]}
    names["before"][3] = "before/none.png"
    pd.DataFrame(names | {"text": [f"picture {i}" for i in range(40)]}).to_csv(folder / "metadata.csv", index=False)
    settings = {"source": "image_folder", "source_uri": str(folder), "max_reject_share": 0.1}
    made = recipe(tmp_path, source_image_column="before", **settings)
    totals = ingest(made).totals
    assert (totals["rejects"], totals["images_without_caption"]) == (1, 1), "a row without its source leaves one unused"
    (reason,) = rejects(made).values()
    assert "none.png does not exist" in reason
    for row in read(made, "train"):
        before, after = (np.asarray(decode(row[name]["bytes"])) for name in ("source_image", "image"))
        assert before[8, 8].tolist() == [0, 0, 255] and after[8, 8].tolist() == [255, 0, 0]
        assert before[0, 0].tolist() == after[0, 0].tolist()  # the number of the picture


def test_one_picture_made_from_two_is_no_repeat_and_a_missing_source_is_none(tmp_path: Path) -> None:
    columns = rows(60, before=pictures())
    columns["image"][1], columns["text"][1] = columns["image"][0], columns["text"][0]
    columns["before"][2] = None
    made = recipe(tmp_path, source_uri=write(tmp_path / "in/a.parquet", columns), source_image_column="before")
    totals = ingest(made).totals
    assert (totals["duplicates"], totals["rejects"]) == (0, 0)
    found = {row["id"]: row for split in SPLITS for row in read(made, split)}
    assert found["r2"]["source_image"] is None and found["r0"]["source_image"] != found["r1"]["source_image"]


def test_a_source_that_is_no_picture_costs_its_own_row_only(tmp_path: Path) -> None:
    columns = rows(60, before=pictures())
    columns["before"][5] = {"bytes": b"no picture", "path": None}
    settings = {"source_image_column": "before", "max_reject_share": 0.1}
    made = recipe(tmp_path, source_uri=write(tmp_path / "in/a.parquet", columns), **settings)
    assert ingest(made).totals["rejects"] == 1
    assert rejects(made)["r5"].startswith("not a readable image")


def test_words_are_made_of_attributes_or_labels_where_there_are_none(tmp_path: Path) -> None:
    columns = rows(60, label=[i % 3 for i in range(60)], age=["old", "young"] * 30, smile=["yes", None, "no"] * 20)
    del columns["text"]
    source = write(tmp_path / "in/a.parquet", columns)
    made = recipe(tmp_path, source_uri=source, text_column=None, attribute_columns=("age", "smile"))
    ingest(made)
    texts = {row["id"]: row["text"] for split in SPLITS for row in read(made, split)}
    assert texts["r0"] == "age old, smile yes" and texts["r1"] == "age young"
    other = recipe(tmp_path / "other", source_uri=source, text_column=None, label_column="label")
    ingest(other)
    assert {row["text"] for row in read(other, "train")} == {"label 0", "label 1", "label 2"}


def test_scenes_draw_their_own(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ingest\.source_image_column is for pictures of your own"):
        recipe(tmp_path, source="scenes", source_image_column="before")
