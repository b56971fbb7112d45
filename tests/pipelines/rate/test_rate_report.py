"""What the answers say, against numbers counted by hand; the files and the MLflow run that hold it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics import ratings
from ganrnn.metrics.statistics.intervals import wilson_interval
from pipelines import storage
from pipelines.config.rate import SAMPLES
from pipelines.formats.ratings import HumanScore, read_human_scores
from pipelines.rate.report import report, table
from pipelines.rate.scores import Judged, counted, scores
from pipelines.rate.store import Answer
from pipelines.rate.study import Study, open_study
from pipelines.rate.trials import CHOICES
from tests.pipelines.mlflow_store import new_store
from tests.pipelines.rate import rating

ANSWER = Answer("a", 0, "rated", (0,), "real", "real", True, 1.5, "en", 1_700_000_000.0)


def judged(rater: str, source: str, *choices: str) -> list[Judged]:
    return [Judged(rater, (source,), choice) for choice in choices]


def test_errors_on_real_and_on_generated_are_told_apart() -> None:
    # Of generated ones, rater a takes 3 of 4 for real and b 1 of 4; of real ones a 0 of 2 for generated, b 1 of 2.
    answers = (
        judged("a", "samples", "real", "real", "real", "generated")
        + judged("b", "samples", "real", "generated", "generated", "generated")
        + judged("a", "reference", "real", "real")
        + judged("b", "reference", "real", "generated")
    )
    found = scores("turing", answers, ("samples", "reference"), half_width=0.1, seed=0)
    assert found.metrics == {"human_error_generated": 0.5, "human_error_real": 0.25, "human_error": 5 / 12}
    assert found.answers == {"human_error_generated": 8, "human_error_real": 4, "human_error": 12}
    assert found.intervals["human_error_generated"] == wilson_interval(4, 8)
    # Two raters drawn anew are both a, both b, or one of each.
    assert found.intervals_by_rater["human_error_generated"] == (0.25, 0.75)
    assert found.intervals_by_rater["human_error_real"] == (0, 0.5)
    # 2 / 1 * (1 + 1) / (8 / 4) = 2
    assert found.design_effects["human_error_generated"] == pytest.approx(2)
    assert found.answers_needed["human_error_generated"] == ratings.sample_size(0.5, 0.1, 2) == 185


def test_one_rater_has_no_interval_by_rater() -> None:
    found = scores("turing", judged("a", "samples", "real"), ("samples", "reference"), 0.1, 0)
    assert found.intervals_by_rater == {} and found.metrics == {"human_error_generated": 1, "human_error": 1}
    assert found.answers == {"human_error_generated": 1, "human_error_real": 0, "human_error": 1}


def test_strengths_come_back_from_preferences() -> None:
    sources, strengths = ("samples", "reference", "third"), np.array([0.5, -0.1, -0.4])
    rng = np.random.default_rng(0)
    answers = []
    for number in range(3_000):
        left, right = rng.permutation(3)[:2]
        wins = rng.random() < 1 / (1 + np.exp(strengths[right] - strengths[left]))
        answers.append(Judged(f"r{number % 20}", (sources[left], sources[right]), "left" if wins else "right"))
    found = scores("preference", answers, sources, 0.05, 0)
    for source, strength in zip(sources, strengths, strict=True):
        name = f"human_strength_{source}"
        low, high = found.intervals_by_rater[name]
        assert abs(found.metrics[name] - strength) < 0.15 and low < found.metrics[name] < high and high - low < 0.3
    share = found.metrics["human_preference"]
    assert abs(share - 1 / (1 + np.exp(-0.6))) < 0.05 and found.answers["human_preference"] < 1_200
    assert abs(found.metrics["human_left"] - 0.5) < 0.05 and found.answers["human_left"] == 3_000


def test_a_model_that_was_never_compared_has_no_strength() -> None:
    answers = [Judged("a", ("samples", "reference"), "left")]
    found = scores("preference", answers, ("samples", "reference", "third"), 0.05, 0)
    assert found.metrics == {"human_preference": 1, "human_left": 1}


def test_fit_of_generated_and_of_real_pictures() -> None:
    answers = judged("a", "samples", "yes", "no", "no", "no") + judged("b", "reference", "yes", "yes")
    found = scores("fit", answers, ("samples", "reference"), 0.05, 0)
    assert found.metrics == {"human_fit_generated": 0.25, "human_fit_real": 1}


def test_who_does_not_heed_checks_does_not_count() -> None:
    def check(rater: str, *choices: str) -> list[Answer]:
        return [replace(ANSWER, rater=rater, kind="check", items=(), choice=choice) for choice in choices]

    answers = [
        ANSWER,
        replace(ANSWER, kind="practice"),
        replace(ANSWER, seen=False),
        *check("a", "real", "generated"),
        replace(ANSWER, rater="b"),
        *check("b", "generated", "generated"),
    ]
    assert counted(answers, 1) == [True] + [False] * 7
    assert counted(answers, 2) == [True] + [False] * 4 + [True] + [False] * 2
    assert counted(answers, 0) == [False] * 8


def answered(folder: Path, raters: Sequence[str], *overrides: str) -> tuple[str, str, tuple[str, ...]]:
    """A study whose raters take all for real but one picture each, and heed the checks."""
    samples = rating.pictures(f"{folder}/samples.parquet", 8)
    reference = rating.pictures(f"{folder}/reference.parquet", 8, tone=160)
    settings = ("rate.num_items=6", "rate.num_practice=2", "rate.num_checks=1", *overrides)
    study = open_study(rating.study_recipe(folder, *settings), samples, reference)
    for rater in raters:
        fill(study, rater)
    study.store.close()
    return samples, reference, settings


def fill(study: Study, rater: str) -> None:
    for number, trial in enumerate(study.design.trials(rater)):
        choice = trial.expected if trial.kind == "check" or number == 3 else "real"
        answer = replace(ANSWER, rater=rater, trial=number, kind=trial.kind, items=trial.items, expected=trial.expected)
        study.store.answer(replace(answer, choice=choice or "real"))


def test_files_and_run(tmp_path: Path) -> None:
    new_store(tmp_path)
    samples, reference, settings = answered(tmp_path, ("a" * 16, "b" * 16))
    recipe = rating.study_recipe(tmp_path, *settings)
    result = report(recipe, samples, reference)
    assert storage.read_json(f"{tmp_path}/rate/ratings.json") == json.loads(json.dumps(result))
    assert result["counts"] == {
        "raters": 2, "raters_counted": 2, "answers": 18, "answers_counted": 12, "answers_unseen": 0,
    }  # fmt: skip
    rows = pq.read_table(f"{tmp_path}/rate/ratings.parquet").to_pylist()
    assert len(rows) == 18 and {row["language"] for row in rows} == {"en"}
    counting = [row for row in rows if row["counts"]]
    made = [row for row in counting if row["left_source"] == SAMPLES]
    taken = sum(row["choice"] == "real" for row in made)
    assert len(made) == 6 and result["metrics"]["human_error_generated"] == taken / 6
    assert all(row["expected"] == ("generated" if row["left_source"] == SAMPLES else "real") for row in counting)
    human = HumanScore(**result["human"])
    assert (human.metric, human.value, human.num_answers, human.num_raters) == (
        "human_error_generated", taken / 6, 6, 2,
    )  # fmt: skip
    low, high = wilson_interval(taken, 6)
    assert human.interval[0] <= low and human.interval[1] >= high
    assert human.item_digests == sorted({row["left_digest"] for row in made})
    (run,) = mlflow.MlflowClient(recipe.tracking.tracking_uri).search_runs(["1"])
    assert run.data.metrics["human_error_generated"] == taken / 6
    assert run.data.metrics["human_error_generated_low"] == low and run.data.metrics["human_raters"] == 2
    assert run.data.tags["ganrnn.verb"] == "rate" and run.data.params["rate.num_items"] == "6"
    header, *lines = table(result).splitlines()
    assert header.split("  ")[0] == "metric" and [line.split()[0] for line in lines] == list(result["metrics"])
    assert len({len(line) for line in (header, *lines)}) == 1


def test_the_model_of_the_samples_is_named(tmp_path: Path) -> None:
    new_store(tmp_path)
    rating.pictures(f"{tmp_path}/samples/00000.parquet", 8)
    shards = [{"uri": "00000.parquet"}]
    storage.commit_json(f"{tmp_path}/samples/manifest.json", {"shards": shards, "model_digest": "m" * 64})
    reference = rating.pictures(f"{tmp_path}/reference.parquet", 8, tone=160)
    recipe = rating.study_recipe(tmp_path, "rate.num_items=4", "rate.num_practice=0", "rate.num_checks=0")
    study = open_study(recipe, f"{tmp_path}/samples", reference)
    fill(study, "a" * 16)
    assert report(recipe, f"{tmp_path}/samples", reference)["human"]["model_digest"] == "m" * 64


@pytest.mark.parametrize("task", ["turing", "preference", "fit"])
def test_promotion_reads_what_is_written(tmp_path: Path, task: str) -> None:
    """Studies of a kind against one reference have one protocol, whoever is judged; the wider interval counts."""
    store = f"tracking.tracking_uri={new_store(tmp_path).tracking_uri}"
    held = {}
    reference = rating.pictures(f"{tmp_path}/reference.parquet", 12, tone=160)
    for model, exposure in (("a", 0), ("b", 0), ("b", 1)):
        samples = f"{tmp_path}/{model}"
        rating.pictures(f"{samples}/0.parquet", 12)
        manifest = {"shards": [{"uri": "0.parquet"}], "model_digest": model * 64}
        storage.commit_json(f"{samples}/manifest.json", manifest)
        counts = ("rate.num_items=6", "rate.num_checks=0")
        settings = (store, f"rate.task={task}", f"rate.exposure_seconds={exposure}", *counts)
        recipe = rating.study_recipe(tmp_path / f"{model}{exposure}", *settings)
        study = open_study(recipe, samples, reference)
        for rater in ("a" * 16, "b" * 16):
            for number, trial in enumerate(study.design.trials(rater)):
                asked = replace(ANSWER, rater=rater, trial=number, kind=trial.kind, items=trial.items)
                choice = CHOICES[task][(number + (rater > "b")) % 2]
                study.store.answer(replace(asked, expected=trial.expected, choice=choice))
        study.store.close()
        result = report(recipe, samples, reference)
        found = held[model, exposure] = read_human_scores(recipe.rate.study_uri, model * 64)
        main, interval = found.main.metric, tuple(found.main.interval)
        assert found.metrics == result["metrics"] and found.intervals[main] == interval
        assert interval[0] <= min(result[kind][main][0] for kind in ("intervals", "intervals_by_rater"))
        assert found.main.reference_digest == result["digests"]["reference_source"]
    protocols = {key: found.main.protocol_digest for key, found in held.items()}
    assert protocols["a", 0] == protocols["b", 0] != protocols["b", 1]
    with pytest.raises(BadInput, match="raters judged model bbbbbbbbbbbb, this is aaaaaaaaaaaa; have samples of"):
        read_human_scores(f"{tmp_path}/b0/rate", "a" * 64)


def test_nothing_to_report(tmp_path: Path) -> None:
    samples, reference, settings = answered(tmp_path, ())
    with pytest.raises(BadInput, match="holds no answer about samples that counts; raters have to answer first"):
        report(rating.study_recipe(tmp_path, *settings), samples, reference)
    recipe = rating.study_recipe(tmp_path / "other", *settings)
    with pytest.raises(BadInput, match="other/rate holds no study yet; `ganrnn rate` without --report begins one"):
        report(recipe, samples, reference)
    assert not list(tmp_path.rglob("ratings.*")) and not (tmp_path / "other").exists()
