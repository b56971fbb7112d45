"""Promotion on a real MLflow: who becomes champion, who challenger, and what stays where it is."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest

from ganrnn import checkpoint
from ganrnn.data import images
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import Vocabulary
from pipelines import storage
from pipelines.config import Recipe, TrackingConfig, parse_recipe
from pipelines.config.promote import PromoteConfig
from pipelines.promote.decision import Decision, compare
from pipelines.promote.driver import promote
from pipelines.promote.scored_report import read_report
from pipelines.tracking import registry, runs
from pipelines.tracking.registry import RegisteredVersion

PROMPT = "a red circle"
METRICS = {"r_precision_100": 0.6, "colour": 0.96, "fid2k_indomain": 9.0}
THRESHOLDS = PromoteConfig("", {"colour": 0.95}, {"fid2k_indomain": 10.0})


def files_of(seed: int) -> dict[str, bytes]:
    config = TextToImageConfig(
        height=16, width=16, max_tokens=6, embedding_dim=4, hidden_dim=4, z_dim=4, style_dim=8, feature_dim=8,
        base_channels=4,
    )  # fmt: skip
    task = TextToImage(config, Vocabulary.build([PROMPT], "word"), seed)
    return checkpoint.pack(task, {}, {"identity": f"training-{seed}"})


def digest_of(seed: int) -> str:
    return str(json.loads(files_of(seed)[checkpoint.DESCRIPTION])["model_digest"])


@dataclass(frozen=True)
class Job:
    """One registered model name on the shared store; each attempt evaluates one model into one report folder."""

    recipe: Recipe

    def attempt(self, seed: int, metrics: dict[str, float], **changes: Any) -> Recipe:
        folder = f"{self.recipe.run_uri}/{seed}"
        storage.commit_files(f"{folder}/checkpoints/step-10", files_of(seed), last=checkpoint.DESCRIPTION)
        storage.commit_table(f"{folder}/prompts.parquet", pa.table({"prompt": [PROMPT]}))
        report = {
            "metrics": metrics,
            "model_digest": digest_of(seed),
            "dataset_digest": "d" * 64,
            "protocol_digest": "p" * 64,
            "samples_manifest_digest": "5" * 64,
            **changes,
        }
        storage.commit_json(f"{folder}/report.json", report)
        generate = replace(
            self.recipe.generate, model_uri=f"{folder}/checkpoints", prompts_uri=f"{folder}/prompts.parquet"
        )
        return replace(self.recipe, generate=generate, evaluate=replace(self.recipe.evaluate, report_uri=folder))

    def aliases(self) -> dict[str, str]:
        aliases = {}
        for alias in ("champion", "challenger"):
            held = registry.find_alias(self.recipe.tracking, self.recipe.promote.registered_model, alias)
            if held:
                aliases[alias] = held.version
        return aliases

    def versions(self) -> list[str]:
        name = self.recipe.promote.registered_model
        return [str(made.version) for made in self.client().search_model_versions(f"name = '{name}'")]

    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.recipe.tracking.tracking_uri, self.recipe.tracking.tracking_uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    folder = tmp_path_factory.mktemp("mlflow")
    return TrackingConfig(f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts", "tests")


@pytest.fixture
def job(store: TrackingConfig, tmp_path: Path) -> Job:
    recipe = parse_recipe({"name": tmp_path.name, "run_uri": str(tmp_path), "task": {"name": "text_to_image"}}, "test")
    config = replace(THRESHOLDS, registered_model=tmp_path.name)
    return Job(replace(recipe, tracking=store, promote=config))


def test_champion_then_challenger_then_better_champion(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    train = runs.start_run(job.recipe.tracking, "train", {}, "training-1", {}, {})
    first = promote(job.attempt(1, METRICS))
    assert first == Decision("1", "champion", ["there was no champion"])
    second = promote(job.attempt(2, METRICS | {"r_precision_100": 0.6}))
    assert second.alias == "challenger"
    assert second.reasons == ["r_precision_100 0.6 does not beat 0.6 of champion version 1"]
    assert job.aliases() == {"champion": "1", "challenger": "2"}
    third = promote(job.attempt(3, METRICS | {"r_precision_100": 0.61}))
    assert third == Decision("3", "champion", ["r_precision_100 0.61 beats 0.6 of champion version 1"])
    assert job.aliases() == {"champion": "3", "challenger": "2"}
    # Lineage: the version belongs to the run that trained it, where that is known.
    written = storage.read_json(f"{job.recipe.run_uri}/1/promotion.json")
    assert written["decision"] == {"version": "1", "alias": "champion", "reasons": first.reasons}
    assert written["lineage"]["run_id"] == train and written["lineage"]["dataset_digest"] == "d" * 64
    assert written["lineage"]["samples_manifest_digest"] == "5" * 64 and written["lineage"]["version"] == "1"
    assert job.client().get_run(written["lineage"]["promote_run_id"]).info.status == "FINISHED"
    # What anyone loads by the alias paints as the checkpoint does, with pickles refused.
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(job.recipe.tracking.tracking_uri)
    try:
        loaded = mlflow.pyfunc.load_model(f"models:/{job.recipe.promote.registered_model}@champion")
    finally:
        mlflow.set_tracking_uri(None)
    rows = pd.DataFrame({"prompt": [PROMPT], "seed": [7], "sample_id": ["p/0"]})
    pixels = checkpoint.load_sampler(files_of(3)).sample({"prompt": [PROMPT]}, [(7, "p/0")])
    assert loaded.predict(rows)["image"][0] == images.encode_png(pixels[0].permute(1, 2, 0).numpy())


def test_the_same_model_and_report_again_change_nothing(job: Job) -> None:
    recipe = job.attempt(1, METRICS)
    first = promote(recipe)
    written = storage.read_bytes(f"{recipe.evaluate.report_uri}/promotion.json")
    assert promote(recipe) == first
    assert storage.read_bytes(f"{recipe.evaluate.report_uri}/promotion.json") == written
    # Without the note of the first time, the version is found again by its digests.
    storage.delete_folder(f"{recipe.evaluate.report_uri}/promotion.json")
    assert promote(recipe) == Decision("1", "champion", ["version 1 is the champion already"])
    assert job.versions() == ["1"] and job.aliases() == {"champion": "1"}


def test_a_promotion_cut_off_before_the_alias_goes_on(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = job.attempt(1, METRICS)
    with monkeypatch.context() as cut:
        cut.setattr(registry, "set_alias", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            promote(recipe)
    assert job.versions() == ["1"] and job.aliases() == {}
    assert promote(recipe) == Decision("1", "champion", ["there was no champion"])
    assert job.versions() == ["1"]
    promotions = job.client().search_runs(["1"], f"tags.`ganrnn.model_digest` = '{digest_of(1)}'")
    held = [run for run in promotions if run.data.params["promote.registered_model"] == recipe.promote.registered_model]
    assert [run.info.status for run in held] == ["FINISHED"]


def test_failing_thresholds_make_a_challenger_and_leave_the_champion(job: Job) -> None:
    promote(job.attempt(1, METRICS))
    worse = job.attempt(2, METRICS | {"r_precision_100": 0.9, "colour": 0.94, "fid2k_indomain": 11.0})
    decision = promote(worse)
    assert decision.alias == "challenger" and decision.reasons[:2] == [
        "colour is 0.94, promote.at_least asks for 0.95",
        "fid2k_indomain is 11, promote.at_most asks for 10",
    ]
    assert job.aliases() == {"champion": "1", "challenger": "2"}
    relaxed = replace(worse.promote, at_least={"colour": 0.94}, at_most={})
    assert promote(replace(worse, promote=relaxed)).alias == "champion"
    assert job.aliases()["champion"] == "2" and sorted(job.versions()) == ["1", "2"]


def test_lower_may_be_better(job: Job) -> None:
    config = replace(job.recipe.promote, champion_metric="fid2k_indomain", higher_is_better=False)
    lower = Job(replace(job.recipe, promote=config))
    promote(lower.attempt(1, METRICS))
    assert promote(lower.attempt(2, METRICS | {"fid2k_indomain": 9.5})).alias == "challenger"
    assert promote(lower.attempt(3, METRICS | {"fid2k_indomain": 8.5})).alias == "champion"


def test_a_difference_that_chance_may_have_made_moves_no_alias(job: Job) -> None:
    def attempt(seed: int, value: float, interval: list[float]) -> Decision:
        metrics = METRICS | {"r_precision_100": value}
        return promote(job.attempt(seed, metrics, intervals={"r_precision_100": interval}))

    assert attempt(1, 0.60, [0.578, 0.621]).alias == "champion"
    close = attempt(2, 0.62, [0.599, 0.641])
    assert close.alias == "challenger"
    assert close.reasons[-1].startswith(
        "r_precision_100 0.62 does not beat 0.6 of champion version 1 (difference -0.00"
    )
    clear = attempt(3, 0.64, [0.619, 0.661])
    assert clear.alias == "champion" and "beats 0.6 of champion version 1 (difference 0.0103 to " in clear.reasons[-1]


def test_scores_of_unlike_origin_are_not_compared(job: Job) -> None:
    held = {"ganrnn.dataset_digest": "d" * 64, "ganrnn.protocol_digest": "p" * 64, "ganrnn.metric.colour": "0.1"}
    report = read_report(job.attempt(1, METRICS).evaluate.report_uri + "/report.json")
    won, reason = compare(job.recipe.promote, report, RegisteredVersion("4", "run", held), None)
    assert not won and reason == "champion version 4 has no metric r_precision_100; evaluate it with this one"
    held = {"ganrnn.dataset_digest": "e" * 64, "ganrnn.metric.r_precision_100": "0.1"}
    won, reason = compare(job.recipe.promote, report, RegisteredVersion("4", "run", held), None)
    assert not won and reason.startswith("champion version 4 was scored on data set eeeeeeeeeeee, this model on dddddd")
    held = {"ganrnn.dataset_digest": "d" * 64, "ganrnn.protocol_digest": "q", "ganrnn.metric.r_precision_100": "0.1"}
    won, reason = compare(job.recipe.promote, report, RegisteredVersion("4", "run", held), None)
    assert not won and reason.startswith("champion version 4 was scored under another protocol")


def refused(job: Job, recipe: Recipe, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        promote(recipe)
    assert job.versions() == [] and job.aliases() == {}
    assert not storage.exists(f"{recipe.evaluate.report_uri}/promotion.json")


def test_bad_input_registers_nothing(job: Job) -> None:
    refused(job, job.attempt(1, METRICS, model_digest="f" * 64), r"scores model ffffffffffff, .*; evaluate this model")
    refused(job, job.attempt(1, {"r_precision_100": 0.6}), r"at_least: .*no metric 'colour'; it has r_precision_100$")
    refused(job, job.attempt(1, {"colour": 0.99}), r"at_most: .*no metric 'fid2k_indomain'; it has colour$")
    without = {"colour": 0.96, "fid2k_indomain": 9.0}
    refused(job, job.attempt(1, without), r"champion_metric: .*no metric 'r_precision_100'; it has colour, fid2k")
    refused(job, job.attempt(1, METRICS | {"colour": "high"}), r"metrics.colour is 'high'; allowed are finite numbers")
    recipe = job.attempt(1, METRICS)
    storage.delete_folder(recipe.generate.model_uri)
    refused(job, recipe, r"checkpoints holds no model; allowed are")
    storage.commit_json(f"{recipe.evaluate.report_uri}/report.json", {"metrics": {}})
    refused(job, recipe, r"report.json has no 'model_digest'")
    storage.delete_folder(f"{recipe.evaluate.report_uri}/report.json")
    refused(job, recipe, r"report.json does not exist")


def test_a_model_that_does_not_load_back_moves_no_alias(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(job.attempt(1, METRICS))
    other = checkpoint.load_sampler(files_of(1))
    with monkeypatch.context() as broken:
        broken.setattr(registry, "load_sampler", lambda files: other)
        with pytest.raises(RuntimeError, match="does not sample"):
            promote(job.attempt(2, METRICS | {"r_precision_100": 0.9}))
    assert job.versions() == ["1"] and job.aliases() == {"champion": "1"}
