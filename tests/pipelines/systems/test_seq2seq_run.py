"""Pairs of texts: the best of a search in order, prefixes, sources that are too long, scores against references."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.train.driver import train
from tests.pipelines.systems.systems import NUM_TEXTS, Promoted, samples, with_columns
from tests.pipelines.tiny import Run


@pytest.fixture
def run(run_of: Callable[[str], Run]) -> Run:
    """Captions in English and Chinese, and a translator."""
    return run_of("seq2seq")


def test_the_samples_of_a_prompt_are_the_best_of_its_search_in_order(run: Run, tmp_path: Path) -> None:
    setting = with_columns(run, tmp_path / "prompts.parquet", num_beams=[4], num_samples=[3, 3, 3, 5])
    rows = samples(run, tmp_path / "samples", setting, "generate.max_reject_share=0.5")
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    assert len(by_prompt) == NUM_TEXTS - NUM_TEXTS // 4
    for held in by_prompt.values():
        best = [row["log_probability"] for row in sorted(held, key=lambda row: row["sample_id"])]
        assert best == sorted(best, reverse=True) and len({row["text"] for row in held}) == 3
    rejects = storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist()
    assert {row["reason"] for row in rejects} == {"num_samples is 5; a search with num_beams 4 has no more"}


def test_a_prefix_is_kept_and_a_source_beyond_the_model_costs_its_row(run: Run, tmp_path: Path) -> None:
    prompts = storage.read_table([run.recipe().generate.prompts_uri]).slice(0, 4).select(["prompt_id"]).to_pydict()
    prompts["prompt"] = ["a red circle", "a red circle " * 20, "𓂀 \u0e01 unheard of", "a red circle"]
    prompts["prefix"] = ["一个", None, None, "蓝色"]
    storage.commit_table(f"{tmp_path}/prompts.parquet", pa.Table.from_pydict(prompts))
    settings = (f"generate.prompts_uri={tmp_path}/prompts.parquet", "generate.max_reject_share=0.5")
    first, strange, last = samples(run, tmp_path / "samples", *settings).values()
    assert first["text"].startswith("一个") and last["text"].startswith("蓝色") and strange["unknown_tokens"] > 0
    (reject,) = storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist()
    assert reject["reason"] == "the source has 61 tokens; this model reads 29"


def test_translations_are_compared_with_their_references(promoted_of: Callable[[str], Promoted]) -> None:
    report = promoted_of("seq2seq").report
    assert 0 <= report["metrics"]["bleu"] <= 100 and 0 < report["metrics"]["chrf"] < 100
    assert report["metrics"]["rougeL"] <= report["metrics"]["rouge1"] <= 1 and report["metrics"]["rouge2"] >= 0
    assert report["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:")
    assert report["signatures"]["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")


def test_texts_are_no_pairs(run: Run, tmp_path: Path) -> None:
    task = "task={name: language_model, num_steps: 1}"
    with pytest.raises(BadInput, match="language_model, which learns from texts"):
        train(run.recipe(task, f"ingest.dataset_uri={run.folder}/dataset", f"run_uri={tmp_path}"))
