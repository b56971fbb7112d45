"""Texts from noise: ways from one text to another, a guard that sees a collapse, models compared over temperatures."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
import torch

from ganrnn.checkpoint import load_sampler
from ganrnn.tasks.latent_text_gan import LatentTextGan
from pipelines import storage
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.promote.driver import promote
from pipelines.sampling import model_files
from tests.pipelines.systems.systems import NUM_TEXTS, samples, with_columns
from tests.pipelines.tiny import Run
from tests.pipelines.train.jobs import trained

ALONE = ("train.num_workers=1", "train.guard.check_every_steps=5", "train.checkpoint_every_steps=10")


@pytest.fixture
def run(run_of: Callable[[str], Run]) -> Run:
    """Captions and a dreamer of them."""
    return run_of("latent_text_gan")


def test_a_way_without_a_beginning_costs_its_row(run: Run, tmp_path: Path) -> None:
    setting = with_columns(run, tmp_path / "prompts.parquet", to_text=["a red circle", None, None])
    rows = samples(run, tmp_path / "samples", setting, "generate.max_reject_share=0.5")
    assert len(rows) == 2 * NUM_TEXTS // 3
    rejects = storage.read_table([f"{tmp_path}/samples/rejects.parquet"]).to_pylist()
    assert {row["reason"] for row in rejects} == {"to_text needs from_text: it is where the way to it begins"}


def test_dreams_are_scored_and_registered_with_the_columns_of_their_prompts(run: Run, tmp_path: Path) -> None:
    setting = with_columns(
        run, tmp_path / "prompts.parquet", from_text=["a red circle", None], to_text=[None], share=[None]
    )
    # All of a column may be missing, which says nothing of its type.
    table = storage.read_table([f"{tmp_path}/prompts.parquet"])
    kinds = {"to_text": pa.string(), "share": pa.float64()}
    table = table.cast(pa.schema([(f.name, kinds.get(f.name, f.type)) for f in table.schema]))
    storage.commit_table(f"{tmp_path}/prompts.parquet", table)
    places = (setting, f"generate.samples_uri={tmp_path}/samples", f"evaluate.report_uri={tmp_path}/report")
    recipe = run.recipe(*places, "promote.registered_model=dreams", "promote.champion_metric=self_bleu_10")
    generate(recipe)
    report = evaluate(recipe).to_json()
    assert report["metrics"]["self_bleu_10"] >= 0
    again = evaluate(
        run.recipe(*places, f"evaluate.report_uri={tmp_path}/again", "evaluate.from_prompts=true")
    ).to_json()
    assert again["metrics"] == report["metrics"]
    # The version takes the columns that the prompts had.
    promote(recipe)
    mlflow.set_tracking_uri(recipe.tracking.tracking_uri)
    registered = mlflow.pyfunc.load_model("models:/dreams@champion")
    asked: dict[str, list[Any]] = {"from_text": ["a red circle", None], "to_text": [None, None], "share": [None, None]}
    frame = pd.DataFrame({"prompt": ["", ""], **asked, "seed": [3, 3], "sample_id": ["s", "t"]})
    frame["share"] = frame["share"].astype(float)
    task = load_sampler(model_files.fetch_files(recipe.generate.model_uri, recipe.tracking))
    texts = task.sample({"prompt_id": ["s", "t"], **asked}, [(3, "s"), (3, "t")])
    assert registered.predict(frame)["text"].tolist() == [text.text for text in texts]


def test_dreams_that_become_one_are_set_back(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, struck = LatentTextGan.step, []

    def collapsing(task: LatentTextGan, batch: Any) -> dict[str, torch.Tensor]:
        if task.step_index == 27 and not struck:
            struck.append(True)
            for network in (task.generator, task.generator_average):
                network.end.weight.data.zero_()
        return step(task, batch)

    monkeypatch.setattr(LatentTextGan, "step", collapsing)
    recipe = run.recipe(*ALONE, f"ingest.dataset_uri={run.folder}/dataset", f"run_uri={tmp_path}")
    _, reports = trained(recipe)
    (line,) = reports
    assert line.startswith("guard: step 30: the samples have collapsed: their diversity is 0.0") and "back to" in line


def test_a_sweep_draws_models_beside_each_other(run: Run, tmp_path: Path) -> None:
    generate(run.recipe())
    reader = "{hidden_dim: 8, num_characters: 40, num_steps: 20}"
    twin = run.recipe().train.checkpoint_uri
    asked = f"{{temperatures: [3, 0.5], num_texts: 20, reader: {reader}, beside: {{twin: '{twin}'}}}}"

    def report(name: str, *settings: str) -> dict[str, Any]:
        return evaluate(run.recipe(f"evaluate.report_uri={tmp_path}/{name}", *settings)).to_json()

    found = report("one", f"evaluate.sweep={asked}")
    curves, real = found["sweep"]["curves"], found["sweep"]["real"]
    own, same = curves[run.recipe().name], curves["twin"]
    assert own == same and own["model_digest"] == found["model_digest"]
    assert [point.pop("temperature") for point in own["points"]] == [3, 0.5]
    assert all(point.keys() == real.keys() for point in own["points"])
    warm, cold = own["points"]
    assert all(0 < point["nats_per_character"] < 6 for point in (warm, cold, real))
    assert warm["distinct2_20"] > cold["distinct2_20"] and warm["self_bleu_10"] < cold["self_bleu_10"]
    assert cold["frechet20_reader"] > 0 and found["sweep"]["signatures"].keys() == {"self_bleu_10", "bleu_test"}
    picture = (tmp_path / "one/quality_diversity.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    page = (tmp_path / "one/report.html").read_text()
    assert "Quality and diversity" in page and base64.b64encode(picture).decode() in page
    # The same again, to the byte; and a report without it is the same but for it.
    again = report("two", f"evaluate.sweep={asked}")
    assert again["sweep"] == found["sweep"] | {"curves": again["sweep"]["curves"]}
    assert (tmp_path / "two/quality_diversity.png").read_bytes() == picture
    plain = report("none")
    assert "sweep" not in plain and not (tmp_path / "none/quality_diversity.png").exists()
    assert (plain["metrics"], plain["protocol_digest"]) == (found["metrics"], found["protocol_digest"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("evaluate.sweep.temperatures=[0]",), "evaluate.sweep.temperatures holds 0.0; allowed are values above 0"),
        (("evaluate.sweep.beside={a: b}",), "evaluate.sweep.temperatures is empty; give those at which models stand"),
        (("evaluate.sweep.num_texts=1",), "evaluate.sweep.num_texts is 1; allowed are"),
        (
            ("evaluate.sweep={temperatures: [1], beside: {tiny: PICTURES}}",),
            "evaluate.sweep.beside holds tiny, the name of the recipe's own model; choose another",
        ),
        (
            ("evaluate.judge_uri=PICTURES",),
            "evaluate.judge_uri is for tasks that give images; latent_text_gan gives texts",
        ),
        (
            ("evaluate.sweep={temperatures: [1], beside: {painter: PICTURES}}",),
            "evaluate.sweep.beside: painter gives images; allowed are models of texts",
        ),
    ],
)
def test_what_cannot_be_swept_is_refused(
    run: Run, trained: Run, tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    generate(run.recipe())
    held = [setting.replace("PICTURES", trained.recipe().train.checkpoint_uri) for setting in settings]
    with pytest.raises(ValueError, match=message):
        evaluate(run.recipe(*held, f"evaluate.report_uri={tmp_path}/report"))
    assert not (tmp_path / "report").exists()


def test_points_of_a_sweep_are_of_as_many_texts_whatever_is_rejected(run: Run, tmp_path: Path) -> None:
    """A rule that one prompt brings and a model cannot keep costs all points that text, and not the report."""
    generate(run.recipe())
    setting = with_columns(run, tmp_path / "prompts.parquet", alphabet=[None] * (NUM_TEXTS - 1) + ["☃"])
    reader = "{hidden_dim: 8, num_characters: 40, num_steps: 5}"
    recipe = run.recipe(
        setting,
        f"generate.samples_uri={tmp_path}/samples",
        "generate.max_reject_share=0.5",
        f"evaluate.report_uri={tmp_path}",
        f"evaluate.sweep={{temperatures: [1, 0.5], reader: {reader}}}",
    )
    generate(recipe)
    sweep = evaluate(recipe).to_json()["sweep"]
    points = sweep["curves"][recipe.name]["points"]
    assert all(point.keys() - {"temperature"} == sweep["real"].keys() for point in points)
    assert f"distinct2_{NUM_TEXTS - 1}" in sweep["real"]
