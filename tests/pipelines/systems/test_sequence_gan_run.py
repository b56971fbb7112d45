"""All verbs with a language model that a discriminator goes on teaching, and a resume on either side of the switch."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.promote.driver import promote
from tests.pipelines.systems.texts import (
    require_the_same_after_a_death,
    require_the_same_in_any_company,
    text_run,
    with_rules,
)
from tests.pipelines.tiny import Run

SWITCH = 25
TASK = {
    "name": "sequence_gan",
    "num_tokens": 40,
    "embedding_dim": 8,
    "hidden_dim": 16,
    "dropout": 0.1,
    "num_steps": 40,
    "num_pretraining_steps": SWITCH,
    "likelihood_weight": 0.1,
    "optimiser": {"learning_rate": 0.02, "warmup_steps": 5},
}


@pytest.fixture(scope="module")
def run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Captions and a generator of them, ingested and trained by two workers, a checkpoint every 20 of 40 steps."""
    data = {"kind": "texts", "prompt_characters": 3}
    return text_run(trained, tmp_path_factory.mktemp("sequence-gan"), data, TASK, {"num_self_bleu": 10})


@pytest.mark.parametrize("rules", [{"temperature": [0.7, 1.3], "top_p": [0.9]}])
def test_batches_shards_and_neighbours_change_no_text(run: Run, tmp_path: Path, rules: dict[str, Any]) -> None:
    require_the_same_in_any_company(run, tmp_path, with_rules(run, tmp_path / "prompts.parquet", **rules))


def test_texts_are_scored_and_registered(run: Run) -> None:
    recipe = run.recipe(
        "promote.registered_model=rewarded", "promote.champion_metric=loss_test", "promote.higher_is_better=false"
    )
    generate(recipe)
    report = evaluate(recipe).to_json()
    assert 0 < report["metrics"]["loss_test"] < 4 and report["metrics"]["self_bleu_10"] > 0
    assert promote(recipe).alias == "champion"


@pytest.mark.parametrize("killed_at", [SWITCH - 1, SWITCH, SWITCH + 1])
def test_a_training_goes_on_over_the_switch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Killed before, at and after the first step of the discriminator, it ends with the bytes of one never killed."""
    settings = ("task.num_steps=30", "train.checkpoint_every_steps=1", "train.guard.num_samples=16")
    require_the_same_after_a_death(run, tmp_path, monkeypatch, killed_at, *settings)
