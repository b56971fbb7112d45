"""Ingest of texts and pairs: sides given by files, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.ingest.driver import ingest
from tests.pipelines.ingest.datasets import SPLITS, read, recipe, write


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
    totals = ingest(made).totals
    found = {split: [row["id"] for row in read(made, split)] for split in SPLITS}
    assert found == {"train": ["a", "b"], "val": ["c2", "f"], "test": test}
    assert totals["held_out_elsewhere"] == 3
    assert set(storage.read_json(f"{made.ingest.dataset_uri}/manifest.json")["inputs"]) == {"source", "holdout", "test"}
    prompts = storage.read_table([f"{made.ingest.dataset_uri}/prompts.parquet"]).to_pylist()
    assert [(row["prompt"], row["reference"]) for row in prompts][:2] == [("say d", "d2 said"), ("say e", "e2 said")]


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
