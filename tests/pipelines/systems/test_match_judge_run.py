"""All verbs with a judge of pictures and words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest

from ganrnn.checkpoint import load_sampler
from pipelines import storage
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.generate.verify import verify
from pipelines.sampling.model_files import fetch_files
from pipelines.train.driver import train
from tests.pipelines.systems.systems import Promoted, generated, samples
from tests.pipelines.tiny import NUM_TEST, Run
from tests.pipelines.train.forked import train_forked


@pytest.fixture
def run(run_of: Callable[[str], Run]) -> Run:
    """Statements about scenes, and a judge of them."""
    return run_of("match_judge")


def test_verdicts_are_scored_with_what_was_asked_beside_them(promoted_of: Callable[[str], Promoted]) -> None:
    judge = promoted_of("match_judge")
    metrics, rows = judge.report["metrics"], generated(judge.recipe).to_pylist()
    assert metrics.keys() == judge.system.metrics
    low, high = judge.report["intervals"]["right"]
    assert 0 <= low < metrics["right"] < high <= 1 and 0.5 <= metrics["majority"] < 1
    assert all(row["source_image"]["bytes"] and row["label"] in (0, 1) for row in rows)
    scores = {row["match_score"] for row in rows}
    assert len(scores) > NUM_TEST // 2 and all(0 <= score <= 1 for score in scores)
    page = storage.read_bytes(f"{judge.recipe.evaluate.report_uri}/report.html").decode()
    assert "Statements and images" in page and "Most confident mistakes" in page and "data:image/png;base64," in page


def test_a_judge_is_not_scored_without_the_truth(run: Run, tmp_path: Path) -> None:
    prompts = storage.read_table([run.recipe().generate.prompts_uri])
    place = prompts.column_names.index("label")
    unknown = prompts.set_column(place, "label", pa.nulls(prompts.num_rows, pa.int64()))
    storage.commit_table(f"{tmp_path}/prompts.parquet", unknown)
    settings = (f"generate.prompts_uri={tmp_path}/prompts.parquet", f"generate.samples_uri={tmp_path}/samples")
    generate(run.recipe(*settings))
    with pytest.raises(ValueError, match="the samples have no label; a judge is scored on prompts that have one"):
        evaluate(run.recipe(*settings, f"evaluate.report_uri={tmp_path}/report"))
    assert not (tmp_path / "report").exists()


def test_a_judge_chooses_among_candidates(run: Run, trained: Run, tmp_path: Path) -> None:
    judge = f"generate.choice.judge_uri={run.recipe().train.checkpoint_uri}"

    def chosen_samples(name: str, *settings: str) -> dict[str, dict[str, Any]]:
        recipe = trained.recipe(f"generate.samples_uri={tmp_path}/{name}", *settings)
        assert recipe.generate.choice.judge_uri == "" or (generate(recipe).choice or {})["judge_digest"]
        return {row["sample_id"]: row for row in generated(recipe).to_pylist()}

    plain, one = chosen_samples("plain"), chosen_samples("one", judge)
    four = chosen_samples("four", judge, "generate.choice.num_candidates=4")
    assert one.keys() == four.keys() == plain.keys()
    # The first candidate is the sample without a choice; a choice is never worse, and mostly better.
    assert all(one[i]["image"] == plain[i]["image"] and "match_score" not in plain[i] for i in plain)
    assert all(four[i]["match_score"] >= one[i]["match_score"] for i in plain)
    better = [i for i in plain if four[i]["match_score"] > one[i]["match_score"]]
    assert len(better) > len(plain) // 2
    assert all((four[i]["image"] != plain[i]["image"]) == (i in better) for i in plain)
    again = chosen_samples("again", judge, "generate.choice.num_candidates=4", "generate.sampling.shard_rows=7")
    assert again == four
    counts = verify(trained.recipe(f"generate.samples_uri={tmp_path}/four", judge, "generate.choice.num_candidates=4"))
    assert counts["rows"] == len(four)

    def report(name: str, *settings: str) -> dict[str, Any]:
        places = (f"generate.samples_uri={tmp_path}/{name}", f"evaluate.report_uri={tmp_path}/report-{name}")
        return evaluate(trained.recipe(*places, *settings)).to_json()

    # Scores of what was chosen are not compared with those of all that is made, wherever the choice took place.
    chosen = report("four")
    assert json.loads(chosen["digests"]["choice"])["num_candidates"] == 4
    assert chosen["protocol_digest"] != report("plain")["protocol_digest"]
    on_the_way = report("nowhere", judge, "generate.choice.num_candidates=4", "evaluate.from_prompts=true")
    assert on_the_way["metrics"] == chosen["metrics"]
    assert on_the_way["protocol_digest"] == chosen["protocol_digest"]


def test_a_judge_that_taught_nobody_looks_for_captions(run: Run, trained: Run, tmp_path: Path) -> None:
    uri = run.recipe().train.checkpoint_uri
    judge = f"evaluate.judge_uri={uri}"

    def report(name: str, *settings: str) -> dict[str, Any]:
        return evaluate(trained.recipe(*settings, f"evaluate.report_uri={tmp_path}/{name}")).to_json()

    generate(trained.recipe())
    plain, judged = report("plain"), report("judged", judge)
    num_candidates = trained.recipe().evaluate.num_candidates
    name = f"r_precision_{num_candidates}_by_judge"
    assert judged["metrics"].keys() - plain["metrics"].keys() == {name}
    assert name in judged["intervals"] and 0 <= judged["floors"][name] <= 1
    digest = load_sampler(fetch_files(uri, run.recipe().tracking)).model_digest
    assert judged["digests"]["judge_digest"] == digest
    assert judged["protocol_digest"] != plain["protocol_digest"]
    assert "R-precision, by a judge" in (tmp_path / "judged/report.html").read_text()
    again = report("from-prompts", judge, "evaluate.from_prompts=true")
    assert again["metrics"] == judged["metrics"]
    with pytest.raises(ValueError, match=r"evaluate.judge_uri .* cannot count: it has chosen the samples; train one"):
        report("chosen", judge, f"generate.choice.judge_uri={uri}", "evaluate.from_prompts=true")
    with pytest.raises(ValueError, match=r"cannot count: the generator has learnt from it"):
        report("learnt", judge, f"train.judge_uri={uri}")
    assert not (tmp_path / "chosen").exists() and not (tmp_path / "learnt").exists()


def test_what_no_candidate_fits_is_rejected_with_its_score(run: Run, trained: Run, tmp_path: Path) -> None:
    judge = f"generate.choice.judge_uri={run.recipe().train.checkpoint_uri}"
    rows = samples(trained, tmp_path / "all", judge, "generate.choice.num_candidates=2").values()
    # As the judge gives them, in four digits, and not as 32 bits hold these.
    found = {row["prompt_id"]: round(row["match_score"], 4) for row in rows}
    middle = sorted(found.values())[len(found) // 2]
    least = (judge, "generate.choice.num_candidates=2", f"generate.choice.least_score={middle}")
    least += ("generate.max_reject_share=0.99",)
    manifest = generate(trained.recipe(*least, f"generate.samples_uri={tmp_path}/some"))
    rejects = storage.read_table([f"{tmp_path}/some/rejects.parquet"]).to_pylist()
    low = {name for name, score in found.items() if score < middle}
    assert {row["id"] for row in rejects} == low and manifest.totals["rejects"] == len(low) > 10
    assert all(f"is below {middle}, the best of 2" in row["reason"] for row in rejects)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["generate.choice.num_candidates=3"],
            "generate.choice.judge_uri is missing; give the model that is to choose",
        ),
        (["generate.choice={judge_uri: x, num_candidates: 0}"], "generate.choice.num_candidates is 0"),
        (["generate.choice={judge_uri: x, least_score: 1.5}"], "generate.choice.least_score is 1.5; allowed are"),
        (["generate.choice.judge_uri=CHECKPOINTS"], "gives images; allowed is a model of the task match_judge"),
    ],
)
def test_what_cannot_choose_is_refused(trained: Run, tmp_path: Path, settings: list[str], message: str) -> None:
    held = [setting.replace("CHECKPOINTS", trained.recipe().train.checkpoint_uri) for setting in settings]
    with pytest.raises(ValueError, match=message):
        generate(trained.recipe(*held, f"generate.samples_uri={tmp_path}/samples"))
    assert not (tmp_path / "samples").exists()


def test_a_painter_learns_from_a_judge(run: Run, trained: Run, tmp_path: Path) -> None:
    own = (f"train.checkpoint_uri={tmp_path}/checkpoints", "task.num_steps=8", "train.checkpoint_every_steps=4")
    judge = f"train.judge_uri={run.recipe().train.checkpoint_uri}"
    with pytest.raises(ValueError, match=r"train.judge_uri is missing and task.judge_weight 0.5; a judge needs"):
        train(trained.recipe(*own, "task.judge_weight=0.5"))
    with pytest.raises(ValueError, match=r"and task.judge_weight 0; a judge needs a weight above 0"):
        train(trained.recipe(*own, judge))
    assert not (tmp_path / "checkpoints").exists()
    recipe = trained.recipe(*own, judge, "task.judge_weight=0.5", "train.log_every_steps=4")
    assert train_forked(recipe).endswith("step-00000008")
    identity = storage.read_json(f"{tmp_path}/checkpoints/run.json")
    assert identity["judge_digest"] == load_sampler(fetch_files(recipe.train.judge_uri, recipe.tracking)).model_digest
    client = mlflow.MlflowClient(recipe.tracking.tracking_uri)
    (experiment,) = client.search_experiments(filter_string=f"name = '{recipe.tracking.experiment}'")
    found = [held.data.metrics for held in client.search_runs([experiment.experiment_id])]
    assert any("judged" in metrics for metrics in found)
