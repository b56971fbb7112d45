"""All verbs with pictures by a table of attributes: no word is read, nothing else is another."""

from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from ganrnn.checkpoint import load_sampler
from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config import load_recipe
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.promote.driver import promote
from pipelines.sampling import model_files
from pipelines.sampling.paint import paint
from tests.pipelines.tiny import NUM_TEST, Run
from tests.pipelines.train.forked import train_forked

TASK = {
    "name": "image_gan",
    "condition": "attributes",
    "height": 16,
    "width": 16,
    "z_dim": 8,
    "style_dim": 16,
    "feature_dim": 16,
    "condition_dim": 8,
    "base_channels": 4,
    "num_steps": 20,
}


@pytest.fixture(scope="module")
def run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The data set of the trained run with another task."""
    folder: Path = tmp_path_factory.mktemp("image-gan")
    text = trained.path().read_text().replace(str(trained.folder), str(folder))
    prompts = f"generate.prompts_uri={trained.recipe().ingest.dataset_uri}/prompts.parquet"
    run = Run(folder, (*trained.shared, prompts, "train.num_workers=1"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(yaml.safe_load(text) | {"task": TASK}))
    train_forked(run.recipe())
    return run


def test_prompts_are_attributes(run: Run) -> None:
    recipe = run.recipe()
    manifest = generate(recipe)
    assert manifest.totals["samples"] == NUM_TEST and manifest.totals["rejects"] == 0
    uris = [f"{recipe.generate.samples_uri}/{shard.uri}" for shard in manifest.shards]
    rows = storage.read_table(uris).to_pylist()
    task = load_sampler(model_files.fetch_files(recipe.generate.model_uri, recipe.tracking))
    assert task.prompt_columns == ("attributes",)
    columns = {"prompt_id": [r["prompt_id"] for r in rows], "attributes": [r["attributes"] for r in rows]}
    pictures = task.sample(columns, [(0, row["sample_id"]) for row in rows])
    same = [
        encode_png(p.permute(1, 2, 0).numpy()) == row["image"]["bytes"] for p, row in zip(pictures, rows, strict=True)
    ]
    assert sum(same) >= NUM_TEST - 2, "another micro-batch size may round a pixel"


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


def test_it_is_scored_and_registered(run: Run) -> None:
    recipe = run.recipe("promote.registered_model=by_attributes", "promote.champion_metric=r_precision_10")
    generate(recipe)
    report = evaluate(recipe).to_json()
    assert {"r_precision_10", "colour_accuracy"} <= set(report["metrics"])
    assert promote(recipe).alias == "champion"
    mlflow.set_tracking_uri(recipe.tracking.tracking_uri)
    registered = mlflow.pyfunc.load_model("models:/by_attributes@champion")
    rows = pd.DataFrame({"attributes": ['{"colour": "red"}'], "seed": [3], "sample_id": ["x"]})
    picture = registered.predict(rows)["image"][0]
    task = load_sampler(model_files.fetch_files(recipe.generate.model_uri, recipe.tracking))
    pixels = task.sample({"prompt_id": ["x"], "attributes": [{"colour": "red"}]}, [(3, "x")])
    assert picture == encode_png(pixels[0].permute(1, 2, 0).numpy())


def test_paint_says_that_it_reads_no_words(run: Run) -> None:
    recipe = run.recipe()
    with pytest.raises(BadInput, match="paints by attributes, not by text"):
        paint("a red circle", recipe.train.checkpoint_uri, recipe.tracking.tracking_uri, 0, None)


def test_a_contradiction_is_refused_with_its_place(run: Run) -> None:
    with pytest.raises(BadInput, match=r"recipe.yaml: task.objective is wasserstein and nothing bounds"):
        load_recipe(str(run.path()), ["task.objective=wasserstein", "task.penalty=none"])
    with pytest.raises(BadInput, match=r"task.generator.learning_rte is no known key; did you mean learning_rate"):
        load_recipe(str(run.path()), ["task.generator.learning_rte=1"])
