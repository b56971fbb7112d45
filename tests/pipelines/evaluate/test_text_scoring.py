"""Scores of texts whose rows ask for different things."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from ganrnn.decoding.rules import Decoding
from ganrnn.text.reading import Reading
from pipelines.config.evaluate import EvaluateConfig
from pipelines.config.loader import load_recipe
from pipelines.evaluate.texts import metrics
from pipelines.evaluate.texts.evaluation import scores_of
from pipelines.evaluate.texts.tables import Tables


def test_each_poem_is_held_to_its_own_form_and_prose_to_none() -> None:
    texts = ["白日依山盡，黃河入海流。", "白日依山盡，黃河入海流。", "prose"]
    rules = [
        Decoding(constraint="poem", num_lines=2, chars_per_line=5),
        Decoding(constraint="poem", num_lines=2, chars_per_line=5, heads="月"),
        Decoding(),
    ]
    scores = metrics.form(texts, rules)
    assert scores.metrics == {"in_form": 0.5}
    assert [round(bound, 4) for bound in scores.intervals["in_form"]] == [0.0945, 0.9055]


def reading(**changes: Any) -> Reading:
    return Reading(**{"num_texts": 5, "window": 9, "num_cut": 0, "num_characters": 16} | changes)


def test_figures_per_character_are_over_the_characters_that_were_read() -> None:
    scores = metrics.likelihood(40 * math.log(2), 20, reading(), 0.0)
    assert scores.metrics == pytest.approx(
        {"loss_test": 2 * math.log(2), "perplexity_test": 4, "bits_per_character_test": 2.5}
    )
    assert scores.marks == {}


def test_unknown_tokens_pay_for_what_they_hide_per_character() -> None:
    scores = metrics.likelihood(40 * math.log(2), 20, reading(hidden={"x": 2, "y": 1}), 8 * math.log(2))
    assert scores.metrics["bits_per_character_test"] == pytest.approx(3.0)
    assert scores.metrics["loss_test"] == pytest.approx(2 * math.log(2))
    mark = "3 of 20 tokens are unknown, and bits per character pay for them"
    assert scores.marks == dict.fromkeys(scores.metrics, mark)


def test_texts_that_were_cut_are_counted() -> None:
    scores = metrics.likelihood(1.0, 20, reading(num_cut=3, num_cut_sources=1), 0.0)
    sentence = "3 of 5 texts are longer than the model reads and were cut"
    assert scores.marks == dict.fromkeys(
        scores.metrics, f"{sentence}; 1 of 5 sources are longer than the model reads and were cut"
    )


def test_without_a_character_there_is_no_figure_per_character() -> None:
    assert "bits_per_character_test" not in metrics.likelihood(1.0, 2, reading(num_characters=0), 0.0).metrics


AROMATIC, SATURATED = (
    ["c1ccccc1", "c1ccncc1", "c1ccsc1", "Cc1ccccc1O"],
    ["C1CCCCC1", "C1CCNCC1", "C1CCSC1", "CC1CCCCC1O"],
)
MOLECULES = EvaluateConfig(molecules=True)


def test_molecules_are_compared_as_molecules() -> None:
    def num_known(texts: list[str]) -> float:
        return len(texts) * metrics.memorised(texts, AROMATIC, MOLECULES).metrics["in_training_set"]

    assert num_known(SATURATED) == 0, "case says whether an atom is aromatic"
    assert num_known(["C1=CC=CC=C1", "c1ccncc1", "no molecule", "Oc1ccccc1C", "C1CC"]) == 3
    assert metrics.memorised(["C1CC"], ["C1CC"], MOLECULES).metrics["in_training_set"] == 1
    assert metrics.memorised(SATURATED, AROMATIC, EvaluateConfig()).metrics["in_training_set"] == 1


def test_tokens_of_molecules_are_atoms_and_bonds() -> None:
    scores = metrics.diversity(["Clc1", "ClC1", "[nH]%12"], MOLECULES, 0)
    assert scores.metrics["distinct1_3"] == 6 / 8  # Cl, c, 1, C, [nH], %12
    assert "case:mixed|" in scores.signatures["self_bleu_3"] and "tok:ganrnn-smiles" in scores.signatures["self_bleu_3"]
    assert metrics.overlap(["CCO"], ["cco"], MOLECULES).metrics["rouge1"] == 0


def test_molecules_of_one_prompt_are_different_molecules() -> None:
    smiles, prompts = ["c1ccccc1", "C1=CC=CC=C1", "CCO", "CCO"], ["a", "a", "b", "c"]
    assert metrics.diversity_given_prompt(smiles, prompts, MOLECULES).metrics == {"distinct_given_prompt": 0.5}
    assert metrics.diversity_given_prompt(smiles, prompts, EvaluateConfig()).metrics == {"distinct_given_prompt": 1.0}
    assert metrics.diversity_given_prompt(smiles, list("abcd"), MOLECULES).metrics == {}


def test_the_real_distance_is_not_that_of_a_set_from_itself() -> None:
    name = "frechet_fingerprint_4"
    assert metrics.chemistry(AROMATIC, SATURATED, AROMATIC).metrics[name] == pytest.approx(0, abs=1e-6)
    assert metrics.chemistry(AROMATIC, AROMATIC, SATURATED).metrics[name] > 1
    assert name not in metrics.chemistry(AROMATIC, SATURATED, ["CC"]).metrics, "one molecule has no spread"
    assert name not in metrics.chemistry(AROMATIC, SATURATED, []).metrics


def test_the_real_baseline_of_molecules_is_between_two_real_splits() -> None:
    recipe = load_recipe(str(Path(__file__).parents[2] / "fixtures/1f2d0ad/texts.yaml"), ["evaluate.molecules=true"])
    samples = pa.table(
        {"prompt_id": list("abcd"), "text": SATURATED, "num_tokens": [7] * 4, "constraint_cost": [0.0] * 4}
    )
    rows = {"train": {"text": ["CC", "CCO"]}, "test": {"text": AROMATIC}}
    tables = Tables(SimpleNamespace(dataset_kind="texts"), {}, samples, rows)
    name = "frechet_fingerprint_4"
    scores, floors = scores_of(recipe, tables, ["CCN", "CCCl", "c1ccccc1"])
    assert scores.metrics[name] == metrics.fingerprint_distance(SATURATED, AROMATIC)[name]
    assert floors.metrics[name] == metrics.fingerprint_distance(AROMATIC, ["CCN", "CCCl", "c1ccccc1"])[name] > 1
    assert name not in scores_of(recipe, tables, [])[1].metrics
