"""All verbs with pairs of texts, and a row's text that no batch, shard or neighbour changes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.evaluate import evaluate
from pipelines.generate import generate
from pipelines.ingest import ingest
from pipelines.train import train
from tests.stages.test_language_model_run import texts, with_rules
from tests.stages.tiny import Run

NUM_TEST = 24
TASK = {
    "name": "seq2seq",
    "vocabulary": "word",
    "num_source_tokens": 30,
    "num_target_tokens": 40,
    "embedding_dim": 12,
    "hidden_dim": 16,
    "covers": True,
    "num_steps": 30,
    "ema_half_life_steps": 5,
    "optimiser": {"learning_rate": 0.02, "warmup_steps": 5},
}


@pytest.fixture(scope="module")
def run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Captions in English and Chinese, and a translator, trained by two workers."""
    folder: Path = tmp_path_factory.mktemp("seq2seq")
    text = yaml.safe_load(trained.path().read_text().replace(str(trained.folder), str(folder)))
    scenes = {"num_train": 300, "num_val": 20, "num_test": NUM_TEST}
    text["ingest"] = {"kind": "pairs", "scenes": scenes, "row_group_rows": 64}
    text["generate"]["sampling"] = {"micro_batch_size": 8, "shard_rows": 20, "decoding": {"max_tokens": 30}}
    text["evaluate"] = {"num_self_bleu": 10, "bleu_tokenizer": "zh"}
    tracking = [override for override in trained.shared if override.startswith("tracking.")]
    run = Run(folder, (*tracking,))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text | {"task": TASK}))
    ingest(run.recipe())
    train(run.recipe())
    return run


@pytest.mark.parametrize("rules", [{"num_beams": [3], "coverage_penalty": [0.5]}, {"temperature": [0.7, 1.3]}])
def test_batches_shards_and_neighbours_change_no_text(run: Run, tmp_path: Path, rules: dict[str, Any]) -> None:
    setting = with_rules(run, tmp_path / "prompts.parquet", **rules)
    expected = texts(run, tmp_path / "8", setting)
    assert len(expected) == NUM_TEST and len({row["text"] for row in expected.values()}) > 1
    for size in (1, 7, 64):
        settings = (f"generate.sampling.micro_batch_size={size}", f"generate.sampling.shard_rows={size + 4}")
        assert texts(run, tmp_path / str(size), setting, *settings, "generate.sampling.num_workers=1") == expected
    prompts = storage.read_table([str(tmp_path / "prompts.parquet")])
    backwards = prompts.take(list(range(prompts.num_rows))[::-1])
    storage.commit_table(f"{tmp_path}/backwards.parquet", backwards)
    assert texts(run, tmp_path / "turned", f"generate.prompts_uri={tmp_path}/backwards.parquet") == expected


def test_the_samples_of_a_prompt_are_the_best_of_its_search_in_order(run: Run, tmp_path: Path) -> None:
    setting = with_rules(run, tmp_path / "prompts.parquet", num_beams=[4], num_samples=[3, 3, 3, 5])
    rows = texts(run, tmp_path / "samples", setting, "generate.max_reject_share=0.5")
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    assert len(by_prompt) == NUM_TEST * 3 // 4
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
    first, strange, last = texts(run, tmp_path / "samples", *settings).values()
    assert first["text"].startswith("一个") and last["text"].startswith("蓝色") and strange["unknown_tokens"] > 0
    (reject,) = storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist()
    assert reject["reason"] == "the source has 61 tokens; this model reads 29"


def test_translations_are_held_against_their_references(run: Run) -> None:
    generate(run.recipe())
    report = evaluate(run.recipe())
    assert 0 <= report["metrics"]["bleu"] <= 100 and 0 < report["metrics"]["chrf"] < 100
    assert report["metrics"]["rougeL"] <= report["metrics"]["rouge1"] <= 1 and report["metrics"]["rouge2"] >= 0
    assert report["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:")
    assert report["signatures"]["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    again = evaluate(run.recipe("evaluate.from_prompts=true", f"evaluate.report_uri={run.folder}/again"))
    assert again["metrics"] == report["metrics"]


def test_texts_are_no_pairs(run: Run, tmp_path: Path) -> None:
    task = "task={name: language_model, num_steps: 1}"
    with pytest.raises(BadInput, match="language_model, which learns from texts"):
        train(run.recipe(task, f"ingest.dataset_uri={run.folder}/dataset", f"run_uri={tmp_path}"))
