"""All verbs with pictures that are made from pictures."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.sampling.paint import ZOOM, Painting, paint
from tests.pipelines.systems.systems import Promoted
from tests.pipelines.tiny import NUM_TEST, Run


@pytest.fixture
def run(run_of: Callable[[str], Run]) -> Run:
    """Scenes to edit and a task of edits."""
    return run_of("image_to_image")


def test_a_picture_that_cannot_be_read_costs_its_own_row_only(run: Run, tmp_path: Path) -> None:
    prompts = storage.read_table([run.recipe().generate.prompts_uri]).to_pylist()
    assert len(prompts) == NUM_TEST and all(images.decode(row["source_image"]["bytes"]) for row in prompts)
    good = prompts[0]["source_image"]
    pictures = [good, {"bytes": b"no picture", "path": None}, None, good]
    columns = {"prompt_id": ["a", "b", "c", "d"], "prompt": ["make it red"] * 4}
    kind = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])  # as polars writes it
    table = pa.table({**columns, "source_image": pa.array(pictures, kind)})
    storage.commit_table(f"{tmp_path}/prompts.parquet", table)
    recipe = run.recipe(
        f"generate.prompts_uri={tmp_path}/prompts.parquet",
        f"generate.samples_uri={tmp_path}/samples",
        "generate.max_reject_share=0.5",
    )
    assert generate(recipe).totals["samples"] == 2
    rejects = storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist()
    reasons = {row["id"]: row["reason"] for row in rejects}
    assert sorted(reasons) == ["b", "c"]
    assert reasons["b"].startswith("not a readable image") and "is empty" in reasons["c"]


def test_real_edits_do_what_was_asked_and_the_best_checkpoint_is_the_last(
    promoted_of: Callable[[str], Promoted], tmp_path: Path
) -> None:
    edits = promoted_of("image_to_image")
    floors = edits.report["floors"]
    assert floors["edit_changed"] == floors["edit_kept"] == 1.0 and 0 < floors["pixels_kept"] < 1
    best = f"generate.model_uri={edits.recipe.train.checkpoint_uri}@best"
    again = evaluate(edits.run.recipe(best, "evaluate.from_prompts=true", f"evaluate.report_uri={tmp_path}")).to_json()
    assert again["metrics"] == edits.report["metrics"]


def test_paint_takes_a_picture(run: Run, tmp_path: Path) -> None:
    recipe = run.recipe()
    source = storage.read_table([recipe.generate.prompts_uri]).to_pylist()[0]["source_image"]["bytes"]
    (tmp_path / "before.png").write_bytes(source)
    out = str(tmp_path / "after.png")
    where = (recipe.train.checkpoint_uri, recipe.tracking.tracking_uri)
    with pytest.raises(BadInput, match="paints over a picture; give one with --source"):
        paint(Painting(["make it red"], out=out), *where)
    paint(Painting(["make it red"], out=out, source=str(tmp_path / "before.png")), *where)
    assert images.decode((tmp_path / "after.png").read_bytes()).size == (16 * ZOOM, 16 * ZOOM)
