"""All verbs with pictures by a table of attributes: no word is read, nothing else is another."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.generate.driver import generate
from pipelines.sampling.paint import Painting, paint
from tests.pipelines.tiny import Run


@pytest.fixture
def run(run_of: Callable[[str], Run]) -> Run:
    """The tiny data set of text_to_image, of which the attributes are read."""
    return run_of("image_gan")


def test_prompts_need_no_words(run: Run, tmp_path: Path) -> None:
    kind = pa.map_(pa.string(), pa.string())
    attributes = [[("colour", "red")], None, [("colour", "mauve"), ("size", "large")]]
    table = pa.table({"prompt_id": ["a", "b", "c"], "attributes": pa.array(attributes, kind)})
    storage.commit_table(f"{tmp_path}/prompts.parquet", table)
    recipe = run.recipe(f"generate.prompts_uri={tmp_path}/prompts.parquet", f"generate.samples_uri={tmp_path}/samples")
    manifest = generate(recipe)
    assert manifest.totals["samples"] == 3 and manifest.totals["unknown_tokens"] == 1
    rows = storage.read_table([f"{tmp_path}/samples/{manifest.shards[0].uri}"]).to_pylist()
    assert [row["prompt"] for row in rows] == [None] * 3
    assert len({row["image"]["bytes"] for row in rows}) == 3


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({}, "has no column 'attributes'; it has prompt_id"),
        ({"attributes": ["red"]}, "column attributes is string; allowed is map<string, string>"),
    ],
)
def test_prompts_of_another_kind_are_refused(
    run: Run, tmp_path: Path, column: dict[str, list[str]], message: str
) -> None:
    storage.commit_table(f"{tmp_path}/prompts.parquet", pa.table({"prompt_id": ["a"], **column}))
    with pytest.raises(BadInput, match=message):
        generate(
            run.recipe(f"generate.prompts_uri={tmp_path}/prompts.parquet", f"generate.samples_uri={tmp_path}/samples")
        )
    assert not (tmp_path / "samples").exists()


def test_paint_says_that_it_reads_no_words(run: Run) -> None:
    recipe = run.recipe()
    with pytest.raises(BadInput, match="the prompt has 'a red circle', and the model paints by attributes; give NAME="):
        paint(Painting(["a red circle"]), recipe.train.checkpoint_uri, recipe.tracking.tracking_uri)


def test_a_contradiction_is_refused_with_its_place(run: Run) -> None:
    with pytest.raises(BadInput, match=r"task.objective is wasserstein and nothing bounds"):
        load_recipe(str(run.path()), ["task.objective=wasserstein", "task.penalty=none"])
    with pytest.raises(BadInput, match=r"task.generator.learning_rte is no known key; did you mean learning_rate"):
        load_recipe(str(run.path()), ["task.generator.learning_rte=1"])
