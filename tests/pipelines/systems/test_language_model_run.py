"""A language model: texts that go on where prompts end, rules of each row, patience, files that were altered."""

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.sampling import model_files
from pipelines.train.driver import train
from pipelines.train.worker import train_worker
from tests.pipelines.systems.systems import NUM_TEXTS, Promoted, samples, with_columns
from tests.pipelines.tiny import Run
from tests.pipelines.train.jobs import job_of


@pytest.fixture
def run(run_of: Callable[[str], Run]) -> Run:
    """Captions and a language model of them."""
    return run_of("language_model")


def test_a_text_goes_on_where_its_prompt_ends(run: Run, tmp_path: Path) -> None:
    rows = samples(run, tmp_path)
    assert len(rows) == NUM_TEXTS
    for row in rows.values():
        assert row["text"].startswith(row["prompt"]) and len(row["prompt"]) == 3
        assert row["log_probability"] < 0 and row["finish"] in ("end", "length") and row["num_tokens"] <= 33


def test_every_prompt_may_have_rules_of_its_own_and_bad_ones_cost_their_row(run: Run, tmp_path: Path) -> None:
    setting = with_columns(run, tmp_path / "prompts.parquet", max_tokens=[1, 5, -3], stop=[["a"], None, None])
    rows = samples(run, tmp_path / "samples", setting, "generate.max_reject_share=0.5")
    assert len(rows) == 2 * NUM_TEXTS // 3 and {row["num_tokens"] for row in rows.values()} <= {3, 4, 5, 6, 7, 8}
    assert {row["max_tokens"] for row in rows.values()} == {1, 5}, "a sample says how it was written"
    rejects = storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist()
    assert {row["reason"] for row in rejects} == {"max_tokens is -3; allowed are values from 1 to 100000"}
    with pytest.raises(BadInput, match=r"prompts of another plan|holds samples of another plan|decoding"):
        samples(run, tmp_path / "samples", setting, "generate.sampling.decoding.temperature=0.5")


def test_texts_are_scored_and_its_version_takes_rules(promoted_of: Callable[[str], Promoted]) -> None:
    model = promoted_of("language_model")
    report, recipe = model.report, model.recipe
    assert report["metrics"]["loss_test"] < 3.5 and report["metrics"]["self_bleu_10"] > 0
    assert report["signatures"]["self_bleu_10"].startswith("nrefs:9|") and 0 < report["floors"]["distinct2_30"] < 1
    assert "Prompts and texts" in storage.read_bytes(f"{recipe.evaluate.report_uri}/report.html").decode()
    mlflow.set_tracking_uri(recipe.tracking.tracking_uri)
    registered = mlflow.pyfunc.load_model("models:/tiny_language_model@champion")
    rules = json.dumps({"max_tokens": 5, "stop": ["x"]})
    frame = pd.DataFrame({"prompt": ["a b"], "seed": [3], "sample_id": ["s"], "decoding": [rules]})
    text = registered.predict(frame)["text"][0]
    assert text.startswith("a b") and len(text) <= 8


def test_patience_ends_a_training_that_gets_no_better_and_more_of_it_goes_on(run: Run, tmp_path: Path) -> None:
    """At a learning rate that changes no weight the first checkpoint is as good as all later ones."""
    rate = ("task.optimiser.learning_rate=1e-15", "train.num_workers=1", f"run_uri={tmp_path}")
    often = ("train.checkpoint_every_steps=5", "train.guard.check_every_steps=5")

    def ended(patience: int) -> str:
        shared = f"ingest.dataset_uri={run.folder}/dataset"
        recipe = run.recipe(*rate, *often, shared, f"train.patience={patience}")
        train_worker(job_of(recipe))
        return train(recipe)  # it is done, so that this tells only where it ended

    assert ended(patience=2).endswith("step-00000015")
    assert ended(patience=2).endswith("step-00000015")
    assert ended(patience=4).endswith("step-00000025")
    with pytest.raises(BadInput, match=r"train\.patience needs train\.guard\.enabled"):
        run.recipe("train.patience=1", "train.guard.enabled=false")


def test_pictures_are_no_texts(run: Run, trained: Run, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="language_model, which learns from texts"):
        train(run.recipe(f"ingest.dataset_uri={trained.folder}/dataset", f"run_uri={tmp_path}"))


def test_a_model_that_was_altered_is_refused(run: Run, tmp_path: Path) -> None:
    files = dict(model_files.fetch_files(run.recipe().generate.model_uri, run.recipe().tracking))
    description = json.loads(files[checkpoint.DESCRIPTION])
    description["vocabulary"]["tokens"] = [*description["vocabulary"]["tokens"][:-1], "?!"]
    files[checkpoint.DESCRIPTION] = json.dumps(description).encode()
    with pytest.raises(BadInput, match="the file was altered"):
        checkpoint.load_sampler(files)
