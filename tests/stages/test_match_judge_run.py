"""All verbs with a judge of pictures and words."""

from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from pipelines import storage
from pipelines.evaluate import evaluate
from pipelines.generate import generate
from pipelines.ingest import ingest
from pipelines.promote import promote
from pipelines.train import train
from tests.stages.tiny import NUM_TEST, Run

TASK = {
    "name": "match_judge",
    "height": 16,
    "width": 16,
    "base_channels": 4,
    "embedding_dim": 8,
    "dim": 8,
    "num_steps": 20,
}


@pytest.fixture(scope="module")
def run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Statements about scenes, and a judge of them trained by two workers."""
    folder: Path = tmp_path_factory.mktemp("match-judge")
    text = yaml.safe_load(trained.path().read_text().replace(str(trained.folder), str(folder)))
    text["ingest"]["scenes"]["kind"] = "statements"
    run = Run(folder, tuple(override for override in trained.shared if override.startswith("tracking.")))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text | {"task": TASK}))
    ingest(run.recipe())
    train(run.recipe())
    return run


def scores(run: Run, folder: Path, *settings: str) -> dict[str, float]:
    """The scores of a generation into a folder of its own, by sample id."""
    recipe = run.recipe(f"generate.samples_uri={folder}", *settings)
    rows = storage.read_table([f"{folder}/{shard['uri']}" for shard in generate(recipe)["shards"]]).to_pylist()
    assert all(row["source_image"]["bytes"] and row["label"] in (0, 1) for row in rows)
    return {row["sample_id"]: row["match_score"] for row in rows}


def test_a_score_is_the_same_in_any_company(run: Run, tmp_path: Path) -> None:
    expected = scores(run, tmp_path / "all")
    assert len(expected) == NUM_TEST and len(set(expected.values())) > NUM_TEST // 2
    assert all(0 <= score <= 1 for score in expected.values())
    prompts = storage.read_table([run.recipe().generate.prompts_uri])
    storage.commit_table(f"{tmp_path}/turned.parquet", prompts.take(list(range(prompts.num_rows))[::-1]))
    turned = scores(run, tmp_path / "turned", f"generate.prompts_uri={tmp_path}/turned.parquet")
    assert turned == expected
    other = scores(run, tmp_path / "16", "generate.sampling.micro_batch_size=16", "generate.sampling.num_workers=1")
    assert other == pytest.approx(expected, abs=1.1e-4)  # another size of micro-batch may round the fourth decimal


def test_verdicts_are_scored_and_the_judge_registered(run: Run) -> None:
    recipe = run.recipe("promote.registered_model=judge", "promote.champion_metric=right")
    generate(recipe)
    report = evaluate(recipe)
    metrics = report["metrics"]
    assert metrics.keys() == {"loss_test", "right", "right_on_true", "right_on_false", "majority"}
    low, high = report["intervals"]["right"]
    assert 0 <= low < metrics["right"] < high <= 1 and 0.5 <= metrics["majority"] < 1
    page = storage.read_bytes(f"{recipe.evaluate.report_uri}/report.html").decode()
    assert "Statements and pictures" in page and "Surest mistakes" in page and "data:image/png;base64," in page
    assert promote(recipe).alias == "champion"
    mlflow.set_tracking_uri(recipe.tracking.tracking_uri)
    row = storage.read_table([recipe.generate.prompts_uri]).to_pylist()[0]
    asked = pd.DataFrame({"prompt": [row["prompt"]], "source_image": [row["source_image"]["bytes"]]})
    made = mlflow.pyfunc.load_model("models:/judge@champion").predict(asked)
    (score,) = [held for name, held in scores(run, run.folder / "again").items() if name.startswith(row["prompt_id"])]
    assert made["match_score"][0] == pytest.approx(score, abs=1e-3)


def test_a_judge_is_not_scored_without_the_truth(run: Run, tmp_path: Path) -> None:
    prompts = storage.read_table([run.recipe().generate.prompts_uri])
    place = prompts.column_names.index("label")
    unknown = prompts.set_column(place, "label", pa.nulls(prompts.num_rows, pa.int64()))
    storage.commit_table(f"{tmp_path}/prompts.parquet", unknown)
    settings = (f"generate.prompts_uri={tmp_path}/prompts.parquet", f"generate.samples_uri={tmp_path}/samples")
    generate(run.recipe(*settings))
    with pytest.raises(ValueError, match="the samples have no label; a judge is scored on prompts that have one"):
        evaluate(run.recipe(*settings, f"evaluate.report_uri={tmp_path}/report"))
    assert not (tmp_path / "report").exists()
