"""Ingest of texts and pairs: sides given by files, dialogues turn by turn, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.ingest import ingest
from tests.stages.datasets import SPLITS, read, recipe, rejects, write


def pairs(names: list[str]) -> dict[str, list[Any]]:
    """A pair for each name."""
    return {"id": names, "source": [f"say {n}" for n in names], "target": [f"{n} said" for n in names]}


def test_rows_of_a_test_file_are_test_and_a_holdout_beside_it_is_val(tmp_path: Path) -> None:
    train, held, test = ["a", "b", "c", "d"], ["c2", "e", "f"], ["d2", "e2", "g", "h"]
    columns = {"train": pairs(train), "val": pairs(held), "test": pairs(test)}
    # What is asked for twice belongs to test before val, and to val before train.
    columns["val"]["source"][0] = "say c"
    columns["test"]["source"][:2] = ["say d", "say e"]
    uris = {split: write(tmp_path / f"{split}.parquet", held) for split, held in columns.items()}
    settings = {"kind": "pairs", "text_column": "target", "source_uri": uris["train"]}
    made = recipe(tmp_path, **settings, holdout_uri=uris["val"], test_uri=uris["test"])
    totals = ingest(made)["totals"]
    found = {split: [row["id"] for row in read(made, split)] for split in SPLITS}
    assert found == {"train": ["a", "b"], "val": ["c2", "f"], "test": test}
    assert totals["held_out_elsewhere"] == 3
    assert set(storage.read_json(f"{made.ingest.dataset_uri}/manifest.json")["inputs"]) == {"source", "holdout", "test"}
    prompts = storage.read_table([f"{made.ingest.dataset_uri}/prompts.parquet"]).to_pylist()
    assert [(row["prompt"], row["reference"]) for row in prompts][:2] == [("say d", "d2 said"), ("say e", "e2 said")]


def test_every_turn_of_a_dialogue_answers_those_before_it(tmp_path: Path) -> None:
    dialogues = [f"A: hello {i}\nB: and you?\n\nA: well {i}" for i in range(20)]
    columns = {"id": [f"d{i}" for i in range(21)], "source": [*dialogues, "A: alone"], "target": ["a talk"] * 21}
    settings = {"kind": "pairs", "text_column": "target", "turn_separator": "\n", "max_reject_share": 0.1}
    made = recipe(tmp_path, source_uri=write(tmp_path / "a.parquet", columns), **settings)
    ingest(made)
    by_split = {split: {row["id"]: row for row in read(made, split)} for split in SPLITS}
    found = {name: row for held in by_split.values() for name, row in held.items()}
    assert len(found) == 40
    assert (found["d3-1"]["source"], found["d3-1"]["target"]) == ("A: hello 3", "B: and you?")
    assert (found["d3-2"]["source"], found["d3-2"]["target"]) == ("A: hello 3\nB: and you?", "A: well 3")
    for held in by_split.values():
        assert {f"d{i}-1" in held for i in range(20) if f"d{i}-2" in held} == {True}, "a dialogue stands on one side"
    assert rejects(made) == {"d20": "the dialogue has no second turn"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"test_uri": "/x"}, r"ingest\.test_uri needs ingest\.holdout_uri"),
        ({"turn_separator": "\n"}, r"ingest\.turn_separator is for ingest\.kind pairs"),
        ({"kind": "pairs", "source": "scenes", "turn_separator": "\n"}, r"ingest\.turn_separator is for"),
    ],
)
def test_sides_and_turns_that_make_no_sense_are_refused(
    settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence):
        recipe(tmp_path, **{"source_uri": "/a", **settings})
