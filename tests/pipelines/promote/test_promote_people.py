"""Promotion by what people said: studies of the same kind, preferences to the champion itself, and nothing else."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config import Recipe
from pipelines.formats.ratings import Human
from pipelines.promote.decision import Decision
from pipelines.promote.driver import promote
from tests.pipelines.promote.test_promote import METRICS, Job, job, store

__all__ = ["job", "store"]  # fixtures


def rated(recipe: Recipe, value: float, half: float, metric: str = "human_error_generated", **kind: Any) -> Recipe:
    """With a study of the recipe's model in its folder."""
    report = storage.read_json(f"{recipe.evaluate.report_uri}/report.json")
    bounds = {metric: (value - half, value + half)}
    human = Human(metric, value, bounds[metric], 100, 10, report["model_digest"], "e" * 64, "p" * 64, [])
    held = {
        "human": asdict(replace(human, **kind)),
        "metrics": {metric: value, "human_error_real": 0.2},
        "intervals": {metric: [value - half / 2, value + half / 2]},
        "intervals_by_rater": bounds,
    }
    folder = f"{recipe.evaluate.report_uri}/study"
    storage.commit_json(f"{folder}/ratings.json", held)
    return replace(recipe, promote=replace(recipe.promote, champion_metric=metric, ratings_uri=folder))


def test_raters_decide_by_more_than_chance(job: Job) -> None:
    first = promote(rated(job.attempt(1, METRICS), 0.30, 0.04))
    assert first == Decision("1", "champion", ["there was no champion"])
    # The interval by rater is the wider one: by answers alone this would be more than chance.
    close = promote(rated(job.attempt(2, METRICS), 0.34, 0.04))
    assert close.alias == "challenger"
    assert "human_error_generated 0.34 does not beat 0.3 of champion version 1 (difference -0.0166" in close.reasons[-1]
    clear = promote(rated(job.attempt(3, METRICS), 0.40, 0.04))
    assert clear.alias == "champion" and clear.reasons[-1].startswith("human_error_generated 0.4 beats 0.3")
    written = storage.read_json(f"{job.recipe.run_uri}/3/promotion.json")
    study = f"{job.recipe.run_uri}/3/study/ratings.json"
    assert written["lineage"]["ratings_digest"] == storage.file_digest(study)
    assert written["metrics"]["human_error_real"] == 0.2 and written["metrics"]["colour"] == METRICS["colour"]


def test_a_threshold_may_be_about_people(job: Job) -> None:
    recipe = rated(job.attempt(1, METRICS), 0.30, 0.04)
    recipe = replace(recipe, promote=replace(recipe.promote, at_least={"human_error_generated": 0.35}))
    decision = promote(recipe)
    assert decision.alias == "challenger"
    assert decision.reasons[0] == "human_error_generated is 0.3, promote.at_least asks for 0.35"


def test_more_answers_are_a_new_reason_to_decide(job: Job) -> None:
    promote(rated(job.attempt(1, METRICS), 0.30, 0.04))
    second = job.attempt(2, METRICS)
    few = promote(rated(second, 0.36, 0.08))
    again = promote(rated(second, 0.36, 0.08))
    assert few.alias == "challenger" and again == few
    assert promote(rated(second, 0.36, 0.02)).alias == "champion"


def test_studies_of_another_kind_are_not_compared(job: Job) -> None:
    promote(rated(job.attempt(1, METRICS), 0.30, 0.04))
    longer = promote(rated(job.attempt(2, METRICS), 0.50, 0.04, protocol_digest="q"))
    assert longer.reasons[-1].startswith("champion version 1 was rated in another study (task, reference")
    other = promote(rated(job.attempt(3, METRICS), 0.50, 0.04, protocol_digest="r"))
    assert other.alias == "challenger" and other.reasons == longer.reasons


def test_a_preference_counts_that_is_to_the_champion_itself(job: Job) -> None:
    promote(job.attempt(1, METRICS))
    prefers = "human_preference"
    beside = "5" * 64  # as the manifest of the champion's samples
    stranger = promote(rated(job.attempt(2, METRICS), 0.9, 0.05, prefers))
    assert stranger.alias == "challenger"
    assert stranger.reasons[-1].startswith("raters compared the model with other samples than those of champion")
    close = promote(rated(job.attempt(3, METRICS), 0.54, 0.05, prefers, reference_digest=beside))
    assert close.reasons[-1] == "raters do not prefer it to champion version 1: 0.54 (0.49 to 0.59 in 95 %)"
    clear = promote(rated(job.attempt(4, METRICS), 0.56, 0.05, prefers, reference_digest=beside))
    assert clear.alias == "champion"
    assert clear.reasons[-1] == "raters prefer it to champion version 1: 0.56 (0.51 to 0.61 in 95 %)"


def test_what_is_no_study_of_this_model_is_refused(job: Job, tmp_path: Path) -> None:
    recipe = job.attempt(1, METRICS)
    with pytest.raises(BadInput, match=r"raters judged model ffffffffffff, this is \w{12}; have samples of this model"):
        promote(rated(recipe, 0.3, 0.04, model_digest="f" * 64))
    strange = rated(recipe, 0.3, 0.04)
    storage.commit_json(f"{strange.promote.ratings_uri}/ratings.json", {"human": {"metric": "human_error"}})
    with pytest.raises(BadInput, match=r"ratings.json is no report of `ganrnn rate --report` \(TypeError\(.*missing"):
        promote(strange)
    nowhere = replace(recipe, promote=replace(recipe.promote, ratings_uri=f"{tmp_path}/nowhere"))
    with pytest.raises(BadInput, match=r"nowhere/ratings.json does not exist"):
        promote(nowhere)
    without = replace(recipe, promote=replace(recipe.promote, champion_metric="human_error_generated"))
    with pytest.raises(BadInput, match=r"no metric 'human_error_generated'; promote.ratings_uri has to name a study"):
        promote(without)
    assert job.versions() == []
