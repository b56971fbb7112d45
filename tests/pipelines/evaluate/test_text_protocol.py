"""Scores of texts depend on settings of texts alone; reports with default settings keep their digests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.config.evaluate import ExtractorConfig, SweepConfig
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.evaluate.texts.protocol import TextProtocol
from pipelines.formats.evaluation_report import read

FIXTURES = Path(__file__).parents[2] / "fixtures/1f2d0ad"


@pytest.fixture
def recipe() -> Recipe:
    """The recipe that an earlier report was made with."""
    return load_recipe(str(FIXTURES / "texts.yaml"), [])


def digest(recipe: Recipe, **changes: Any) -> str:
    """The protocol's digest under changed settings of evaluate."""
    report = read(f"{FIXTURES}/texts/report.json")
    changed = replace(recipe, evaluate=replace(recipe.evaluate, **changes))
    return TextProtocol.of(changed, str(report.digests["prompts_digest"]), report.counts).digest


def test_an_earlier_report_keeps_its_digest(recipe: Recipe) -> None:
    assert digest(recipe) == read(f"{FIXTURES}/texts/report.json").protocol_digest
    assert digest(recipe) == "0785080b657e0a781842cc101fd434328532dbaf4a6efe0c3616aae5c4a8dcaf"


@pytest.mark.parametrize(
    "changes",
    [
        {"num_kid_features": 500},
        {"num_candidates": 10, "num_splits": 2, "captions": "attributes"},
        {"num_workers": 7, "report_uri": "/elsewhere", "from_prompts": True, "features_uri": "/features"},
        {"extractor": ExtractorConfig("/weights", "0" * 64), "group_by": "shape", "judge_uri": "/judge"},
        {"sweep": SweepConfig((0.5, 1.0))},
    ],
)
def test_settings_of_images_do_not_make_texts_incomparable(recipe: Recipe, changes: dict[str, Any]) -> None:
    assert digest(recipe, **changes) == digest(recipe)


def test_settings_of_texts_do() -> None:
    protocol = TextProtocol("13a", 500, False, "prompts", {"samples": 12}, 0)
    others = [
        replace(protocol, bleu_tokenizer="char"),
        replace(protocol, num_self_bleu=10),
        replace(protocol, molecules=True),
        replace(protocol, prompts_digest="others"),
        replace(protocol, counts={"samples": 11}),
        replace(protocol, seed=1),
    ]
    assert len({protocol.digest, *(other.digest for other in others)}) == 7
