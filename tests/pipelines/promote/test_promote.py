"""Promotion on a real MLflow: who becomes champion, who challenger, and what stays as it is."""

from dataclasses import replace

import mlflow
import pandas as pd
import pytest

from ganrnn import checkpoint
from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.promote.decision import Decision
from pipelines.promote.driver import promote
from pipelines.tracking import registry, runs
from tests.pipelines.promote.attempts import METRICS, PROMPT, Job, digest_of, files_of, rated


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
    name = recipe.promote.registered_model
    own = [run for run in promotions if run.data.params["promote.registered_model"] == name]
    assert [run.info.status for run in own] == ["FINISHED"]


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
    assert job.aliases() == {"champion": "2"} and sorted(job.versions()) == ["1", "2"]


def test_a_champion_that_fails_raised_thresholds_is_a_challenger_alone(job: Job) -> None:
    recipe = job.attempt(1, METRICS)
    assert promote(recipe).alias == "champion"
    decision = promote(replace(recipe, promote=replace(recipe.promote, at_least={"colour": 0.97})))
    assert decision.alias == "challenger" and decision.reasons == [
        "colour is 0.96, promote.at_least asks for 0.97",
        "version 1 was the champion until now; there is none until another one passes",
    ]
    assert job.aliases() == {"challenger": "1"}
    assert promote(recipe).alias == "champion" and job.aliases() == {"champion": "1"}


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


def test_raters_decide_by_more_than_chance(job: Job) -> None:
    first = promote(rated(job.attempt(1, METRICS), 0.30, 0.04))
    assert first == Decision("1", "champion", ["there was no champion"])
    close = promote(rated(job.attempt(2, METRICS), 0.34, 0.04))
    assert close.alias == "challenger"
    assert "human_error_generated 0.34 does not beat 0.3 of champion version 1 (difference -0.0166" in close.reasons[-1]
    written = storage.read_json(f"{job.recipe.run_uri}/2/promotion.json")
    study = f"{job.recipe.run_uri}/2/study/ratings.json"
    assert written["lineage"]["ratings_digest"] == storage.file_digest(study)
    assert written["metrics"]["human_error_real"] == 0.2 and written["metrics"]["colour"] == METRICS["colour"]
    # More answers about the same model are a new reason to decide; the same ones again are none.
    second = job.attempt(2, METRICS)
    assert promote(rated(second, 0.34, 0.04)) == close
    clear = promote(rated(second, 0.36, 0.02))
    assert clear.alias == "champion" and clear.reasons[-1].startswith("human_error_generated 0.36 beats 0.3")


def test_a_preference_counts_that_is_to_the_champion_itself(job: Job) -> None:
    promote(job.attempt(1, METRICS))
    manifest = "5" * 64  # of the champion's samples
    clear = promote(rated(job.attempt(2, METRICS), 0.56, 0.05, "human_preference", reference_digest=manifest))
    assert clear.alias == "champion"
    assert clear.reasons[-1] == "raters prefer it to champion version 1: 0.56 (0.51 to 0.61 in 95 %)"


def test_what_is_no_study_of_this_model_is_refused(job: Job) -> None:
    recipe = job.attempt(1, METRICS)
    with pytest.raises(BadInput, match=r"raters judged model ffffffffffff, this is \w{12}; have samples of this model"):
        promote(rated(recipe, 0.3, 0.04, model_digest="f" * 64))
    strange = rated(recipe, 0.3, 0.04)
    storage.commit_json(f"{strange.promote.ratings_uri}/ratings.json", {"human": {"metric": "human_error"}})
    with pytest.raises(BadInput, match=r"ratings.json is no report of `ganrnn rate --report` \(TypeError\(.*missing"):
        promote(strange)
    nowhere = replace(recipe, promote=replace(recipe.promote, ratings_uri=f"{job.recipe.run_uri}/nowhere"))
    with pytest.raises(BadInput, match=r"nowhere/ratings.json does not exist"):
        promote(nowhere)
    without = replace(recipe, promote=replace(recipe.promote, champion_metric="human_error_generated"))
    with pytest.raises(BadInput, match=r"no metric 'human_error_generated'; promote.ratings_uri has to name a study"):
        promote(without)
    assert job.versions() == []
