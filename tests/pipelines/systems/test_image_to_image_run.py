"""All verbs with pictures that are made from pictures."""

from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from ganrnn.checkpoint import load_sampler
from ganrnn.data import images
from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from pipelines.promote.driver import promote
from pipelines.sampling import model_files
from pipelines.sampling.paint import ZOOM, paint
from tests.pipelines.tiny import NUM_TEST, Run
from tests.pipelines.train.forked import train_forked

TASK = {
    "name": "image_to_image",
    "height": 16,
    "width": 16,
    "embedding_dim": 8,
    "hidden_dim": 8,
    "z_dim": 4,
    "style_dim": 16,
    "feature_dim": 16,
    "base_channels": 4,
    "num_steps": 20,
}


@pytest.fixture(scope="module")
def run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Scenes to edit and a task of edits, ingested and trained by two workers."""
    folder: Path = tmp_path_factory.mktemp("image-to-image")
    text = yaml.safe_load(trained.path().read_text().replace(str(trained.folder), str(folder)))
    text["ingest"]["scenes"]["kind"] = "edits"
    tracking = [override for override in trained.shared if override.startswith("tracking.")]
    run = Run(folder, (*tracking, "evaluate.captions=attributes"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text | {"task": TASK}))
    ingest(run.recipe())
    train_forked(run.recipe())
    return run


def test_prompts_bring_their_pictures(run: Run) -> None:
    recipe = run.recipe()
    prompts = storage.read_table([recipe.generate.prompts_uri]).to_pylist()
    assert len(prompts) == NUM_TEST and all(images.decode(row["source_image"]["bytes"]) for row in prompts)
    manifest = generate(recipe)
    assert manifest.totals["samples"] == NUM_TEST and manifest.totals["rejects"] == 0
    uris = [f"{recipe.generate.samples_uri}/{shard.uri}" for shard in manifest.shards]
    rows = storage.read_table(uris).to_pylist()
    assert [row["source_image"]["bytes"] for row in rows] == [row["source_image"]["bytes"] for row in prompts]
    task = load_sampler(model_files.fetch_files(recipe.generate.model_uri, recipe.tracking))
    columns = {name: [row[name] for row in rows] for name in ("prompt_id", "prompt", "source_image")}
    pictures = task.sample(columns, [(0, row["sample_id"]) for row in rows])
    same = [
        encode_png(p.permute(1, 2, 0).numpy()) == row["image"]["bytes"] for p, row in zip(pictures, rows, strict=True)
    ]
    assert sum(same) >= NUM_TEST - 2, "another micro-batch size may round a pixel"


def test_a_picture_that_cannot_be_read_costs_its_own_row_only(run: Run, tmp_path: Path) -> None:
    good = storage.read_table([run.recipe().generate.prompts_uri]).to_pylist()[0]["source_image"]
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


def test_edits_are_scored_and_registered(run: Run) -> None:
    recipe = run.recipe("promote.registered_model=edits", "promote.champion_metric=edit_changed")
    generate(recipe)
    report = evaluate(recipe).to_json()
    assert {"edit_changed", "edit_kept", "pixels_kept", "r_precision_10", "colour_accuracy"} <= set(report["metrics"])
    # What was drawn does what was asked.
    assert report["floors"]["edit_changed"] == report["floors"]["edit_kept"] == 1.0
    assert 0 < report["floors"]["pixels_kept"] < 1
    # The one checkpoint is the best too, and what is painted on the way is what was stored.
    best = f"generate.model_uri={recipe.train.checkpoint_uri}@best"
    again = evaluate(
        run.recipe(best, "evaluate.from_prompts=true", f"evaluate.report_uri={run.folder}/again")
    ).to_json()
    assert again["metrics"] == report["metrics"]
    assert promote(recipe).alias == "champion"
    mlflow.set_tracking_uri(recipe.tracking.tracking_uri)
    registered = mlflow.pyfunc.load_model("models:/edits@champion")
    source = storage.read_table([recipe.generate.prompts_uri]).to_pylist()[0]["source_image"]["bytes"]
    rows = pd.DataFrame({"prompt": ["make it red"], "source_image": [source], "seed": [3], "sample_id": ["x"]})
    picture = registered.predict(rows)["image"][0]
    task = load_sampler(model_files.fetch_files(recipe.generate.model_uri, recipe.tracking))
    columns = {"prompt_id": ["x"], "prompt": ["make it red"], "source_image": [{"bytes": source}]}
    assert picture == encode_png(task.sample(columns, [(3, "x")])[0].permute(1, 2, 0).numpy())


def test_paint_takes_a_picture(run: Run, tmp_path: Path) -> None:
    recipe = run.recipe()
    source = storage.read_table([recipe.generate.prompts_uri]).to_pylist()[0]["source_image"]["bytes"]
    (tmp_path / "before.png").write_bytes(source)
    out = str(tmp_path / "after.png")
    where = (recipe.train.checkpoint_uri, recipe.tracking.tracking_uri, 0, out)
    with pytest.raises(BadInput, match="paints over a picture; give one with --source"):
        paint("make it red", *where)
    paint("make it red", *where, source=str(tmp_path / "before.png"))
    assert images.decode((tmp_path / "after.png").read_bytes()).size == (16 * ZOOM, 16 * ZOOM)
