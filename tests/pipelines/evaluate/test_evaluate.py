"""Evaluation: the same scores from samples or prompts and for any number of workers, real pictures at the floor."""

import base64
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from ganrnn.data import images
from ganrnn.data.images import encode_png
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.evaluate.driver import evaluate
from pipelines.evaluate.images.metrics import count_name
from pipelines.evaluate.tracked_context import (
    chosen_steps,
    comparable_champion,
    first_pictures,
    training_curves,
    training_samples,
)
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.generate.driver import generate
from pipelines.promote.driver import promote
from tests.pipelines import tiny
from tests.pipelines.mlflow_store import store_settings
from tests.pipelines.tiny import NUM_TEST, Run

MakeRun = Callable[[], Run]
ATTRIBUTES = {"colour", "shape", "size", "position", "background", "relation", "other_colour", "other_shape"}


@pytest.fixture(scope="module")
def scored(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Samples of the held-out prompts and their report, both below one folder."""
    folder = tmp_path_factory.mktemp("scored")
    places = (f"generate.samples_uri={folder}/samples", f"evaluate.report_uri={folder}/report")
    run = Run(trained.folder, (*trained.shared, *places))
    generate(run.recipe())
    evaluate(run.recipe())
    return run


def report_of(run: Run) -> dict[str, Any]:
    held: dict[str, Any] = storage.read_json(f"{run.recipe().evaluate.report_uri}/report.json")
    return held


def test_a_report(scored: Run) -> None:
    report = report_of(scored)
    attributes = {f"{name}_accuracy" for name in ATTRIBUTES}
    suffix = f"{NUM_TEST}_indomain"
    distances = {f"fid{suffix}", f"kid{suffix}", f"kid{suffix}_std", f"is{suffix}", f"is{suffix}_std"}
    distances |= {f"{name}{suffix}" for name in ("precision", "recall", "density", "coverage")}
    distances |= {f"{name}{suffix}" for name in ("clipped_density", "clipped_coverage")}
    distances |= {f"{name}{suffix}" for name in ("near_duplicates", "copied", "fid_limit")}
    assert set(report["metrics"]) <= distances | {"r_precision_10"} | attributes
    assert set(report["metrics"]) >= distances | {"r_precision_10", "colour_accuracy", "background_accuracy"}
    assert set(report["floors"]) == set(report["metrics"])
    counts = {"reference": NUM_TEST, "real": NUM_TEST, "samples": NUM_TEST}
    assert report["counts"] == counts | {"training": 300}
    assert report["floors"][f"fid{suffix}"] < report["metrics"][f"fid{suffix}"]
    for name, (low, high) in report["intervals"].items():
        assert low <= report["metrics"][name] <= high
        assert name.startswith("fid_limit") or 0 <= low <= high <= 1
    manifest = storage.read_json(f"{scored.recipe().generate.samples_uri}/manifest.json")
    assert report["model_digest"] == report["digests"]["model_digest"] == manifest["model_digest"]
    assert report["digests"]["prompts_digest"] == manifest["inputs"]["prompts_digest"]
    assert report["samples_manifest_digest"] == storage.file_digest(
        f"{scored.recipe().generate.samples_uri}/manifest.json"
    )
    (network,) = Path(scored.recipe().ingest.dataset_uri).glob("indomain-*/indomain.safetensors")
    assert report["extractors"]["indomain"]["digest"] == storage.file_digest(str(network))
    assert report["seed"] == {"evaluation": 0, "generation": 0}
    reason = "the in-domain network has learnt from 300 images, fewer than 3,000"
    marked = {name for name, reasons in report["does_not_separate"].items() if reason in reasons}
    assert marked == {name for name in distances if not name.endswith("_std")} | {"r_precision_10"}


def test_the_page_shows_the_course_of_the_training_and_the_nearest_training_pictures(scored: Run) -> None:
    page = Path(scored.recipe().evaluate.report_uri, "report.html").read_text(encoding="utf-8")
    assert "<h2>Training</h2>" in page and "Champion" not in page
    assert page.count('alt="training"') == 8 and "<h2>Nearest training images</h2>" in page


def test_a_champion_stands_beside_a_model_that_was_scored_alike(scored: Run, tmp_path: Path) -> None:
    shutil.copytree(scored.recipe().evaluate.report_uri, tmp_path / "report")
    settings = ("promote.champion_metric=r_precision_10", f"evaluate.report_uri={tmp_path}/report")
    recipe, report = scored.recipe(*store_settings(tmp_path), *settings), report_of(scored)
    challenger = EvaluationReport.from_json(report | {"model_digest": "f" * 64})
    assert comparable_champion(recipe, challenger) is None
    promote(recipe)
    found = comparable_champion(recipe, challenger)
    assert found and found.version == "1" and found.metrics == pytest.approx(report["metrics"])
    others = ({"model_digest": report["model_digest"]}, {"dataset_digest": "e" * 64}, {"protocol_digest": "e" * 64})
    for changes in others:
        assert comparable_champion(recipe, replace(challenger, **changes)) is None, changes


def test_the_course_of_another_model_is_not_shown(scored: Run) -> None:
    recipe, digest = scored.recipe(), report_of(scored)["model_digest"]
    curves = training_curves(recipe, digest)
    assert [step for step, _ in curves["quick_distance"]] == sorted({step for step, _ in curves["quick_diversity"]})
    assert training_curves(recipe, "f" * 64) == {}
    assert training_curves(scored.recipe("generate.model_uri=nowhere"), digest) == {}


def test_samples_of_the_training_are_shown_by_step(scored: Run) -> None:
    recipe, digest = scored.recipe(), report_of(scored)["model_digest"]
    samples = training_samples(recipe, digest)
    assert list(samples) == [30, 60] and {images.decode(png).size for png in samples.values()} == {(32, 4 * 32)}
    assert training_samples(recipe, "f" * 64) == {}
    page = (Path(recipe.evaluate.report_uri) / "report.html").read_text(encoding="utf-8")
    assert all(base64.b64encode(png).decode() in page for png in samples.values())


def test_a_long_training_shows_steps_from_the_first_to_the_last() -> None:
    names = [f"step-{step:08d}.png" for step in range(500, 20_500, 500)]
    steps = list(chosen_steps([*names, "step-00000500.txt", "other.png"]))
    assert len(steps) == 12 and (steps[0], steps[-1]) == (500, 20_000) and steps == sorted(set(steps))
    assert chosen_steps(names[1::-1]) == {500: names[0], 1_000: names[1]} and chosen_steps([]) == {}


def test_the_first_pictures_of_a_grid_are_cut_out() -> None:
    pictures = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 4, 6) * 20
    cut = images.decode(first_pictures(images.encode_png(images.grid(pictures, 8, 2)), (8, 12)))
    assert np.array_equal(np.asarray(cut), images.grid(pictures[:4], 1, 2))


def test_report_files(scored: Run) -> None:
    folder = Path(scored.recipe().evaluate.report_uri)
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.html", "contact_sheet.png"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in report_of(scored)["metrics"] if not name.endswith("_std"))
    with Image.open(io.BytesIO((folder / "contact_sheet.png").read_bytes())) as sheet:
        assert sheet.size == (8 * 16 * 3, 3 * 16 * 3)  # the 20 pictures of the first shard, magnified


SAME = ("metrics", "floors", "intervals", "counts", "model_digest", "protocol_digest", "extractors")


def test_scores_from_prompts_are_those_from_samples(scored: Run, tmp_path: Path) -> None:
    settings = ("evaluate.from_prompts=true", f"generate.samples_uri={tmp_path}/none")
    report, expected = (
        evaluate(scored.recipe(*settings, f"evaluate.report_uri={tmp_path}")).to_json(),
        report_of(scored),
    )
    assert {name: report[name] for name in SAME} == {name: expected[name] for name in SAME}
    assert report["samples_manifest_digest"] is None and not (tmp_path / "none").exists()


@pytest.mark.slow("two pools of two actors")
@pytest.mark.parametrize("from_prompts", [True, False])
def test_two_workers_give_the_scores_of_one(on_ray: None, scored: Run, tmp_path: Path, from_prompts: bool) -> None:
    settings = ("evaluate.num_workers=2", "generate.sampling.num_workers=2", f"evaluate.report_uri={tmp_path}")
    report = evaluate(scored.recipe(*settings, f"evaluate.from_prompts={str(from_prompts).lower()}")).to_json()
    expected = report_of(scored)
    assert {name: report[name] for name in SAME} == {name: expected[name] for name in SAME}


def fake_samples(scored: Run, folder: Path, change: Callable[[dict[str, Any]], Any]) -> str:
    """A samples folder whose pictures are the real ones of the test split; returns its URI."""
    dataset = scored.recipe().ingest.dataset_uri
    manifest = storage.read_json(f"{scored.recipe().generate.samples_uri}/manifest.json")
    uris = [
        f"{dataset}/{s['uri']}" for s in storage.read_json(f"{dataset}/manifest.json")["shards"] if "test" in s["uri"]
    ]
    real = storage.read_table(uris)
    columns = {
        "sample_id": real.column("id"),
        "prompt": real.column("text"),
        "image": real.column("image"),
        "attributes": real.column("attributes"),
    }
    change(columns)
    name = manifest["shards"][0]["uri"]
    digest = storage.commit_table(f"{folder}/{name}", pa.table(columns))
    storage.commit_json(
        f"{folder}/manifest.json", manifest | {"shards": [{"uri": name, "rows": NUM_TEST, "sha256": digest}]}
    )
    return str(folder)


def test_real_pictures_score_the_floor(scored: Run, tmp_path: Path) -> None:
    uri = fake_samples(scored, tmp_path / "samples", lambda columns: None)
    report = evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}")).to_json()
    assert report["metrics"] == pytest.approx(report["floors"], rel=1e-9, abs=1e-12)
    assert report["metrics"]["background_accuracy"] == 1


def test_pictures_of_the_data_set_are_scored_once(scored: Run, tmp_path: Path) -> None:
    folder = Path(scored.recipe().ingest.dataset_uri)
    report = report_of(scored)
    (known,) = folder.glob("scores-*/sets.parquet")
    assert storage.read_table([str(known)])["set"].to_pylist() == ["reference", "real", "training"]
    again = evaluate(scored.recipe(f"evaluate.report_uri={tmp_path}/again")).to_json()
    known.unlink()
    anew = evaluate(scored.recipe(f"evaluate.report_uri={tmp_path}/anew")).to_json()
    for name in ("metrics", "floors", "intervals", "counts", "protocol_digest"):
        assert again[name] == anew[name] == report[name], name
    evaluate(scored.recipe(f"evaluate.report_uri={tmp_path}/other", "evaluate.num_candidates=5"))
    assert len([*folder.glob("scores-*/sets.parquet")]) == 2


def test_what_is_not_for_pictures_is_refused(scored: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"evaluate.sweep is for tasks that give texts; text_to_image gives images"):
        evaluate(scored.recipe("evaluate.sweep.temperatures=[1]", f"evaluate.report_uri={tmp_path}/report"))
    assert not (tmp_path / "report").exists()


def test_copies_of_training_pictures_are_noticed(scored: Run, tmp_path: Path) -> None:
    recipe = scored.recipe()
    shards = shard_uris(recipe.ingest.dataset_uri, read_manifest(recipe.ingest.dataset_uri), "train")
    learnt = storage.read_table(shards, ["image"]).slice(0, NUM_TEST).column("image")

    def copy(columns: dict[str, Any]) -> None:
        columns["image"] = learnt

    uri = fake_samples(scored, tmp_path / "samples", copy)
    report = evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}")).to_json()
    name = f"copied{NUM_TEST}_indomain"
    assert report["metrics"][name] == 1 > report["floors"][name]


def test_pictures_of_other_prompts_score_below_it(scored: Run, tmp_path: Path) -> None:
    def roll(columns: dict[str, Any]) -> None:
        image = columns["image"]
        columns["image"] = pa.chunked_array([*image.slice(1).chunks, *image.slice(0, 1).chunks])

    uri = fake_samples(scored, tmp_path / "samples", roll)
    report = evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}")).to_json()
    for name in ("r_precision_10", "colour_accuracy", "position_accuracy"):
        assert report["metrics"][name] < report["floors"][name], name
    # The same pictures under other captions: what looks at pictures alone is as it was.
    for name in (f"fid{NUM_TEST}_indomain", f"kid{NUM_TEST}_indomain"):
        assert report["metrics"][name] == pytest.approx(report["floors"][name], rel=1e-6)


def test_prompts_that_no_real_picture_has_are_scored_without_retrieval(scored: Run, tmp_path: Path) -> None:
    """A prompt set of one's own: nothing to retrieve, no attributes, distances as ever."""
    table = pa.table({"prompt_id": ["a", "b", "c"], "prompt": ["a dog", "two red dogs", "left"]})
    storage.commit_table(f"{tmp_path}/prompts.parquet", table)
    settings = [f"generate.prompts_uri={tmp_path}/prompts.parquet", f"evaluate.report_uri={tmp_path}"]
    report = evaluate(scored.recipe("evaluate.from_prompts=true", *settings)).to_json()
    assert report["counts"]["samples"] == 3
    assert set(report["metrics"]) == {f"{n}3_indomain{s}" for n in ("kid", "is") for s in ("", "_std")} | {
        "fid3_indomain"
    }


def test_samples_without_prompts_are_scored_without_retrieval(scored: Run, tmp_path: Path) -> None:
    def without_prompts(columns: dict[str, Any]) -> None:
        columns["prompt"] = pa.nulls(NUM_TEST, pa.string())
        columns["attributes"] = pa.nulls(NUM_TEST, columns["attributes"].type)

    uri = fake_samples(scored, tmp_path / "samples", without_prompts)
    report = evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}")).to_json()
    assert f"fid{NUM_TEST}_indomain" in report["metrics"] and "r_precision_10" not in report["metrics"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluate.num_candidates=1000", r"evaluate.num_candidates is 1000; the prompts hold \d+ distinct captions"),
        ("generate.samples_uri=/nowhere/samples", "/nowhere/samples/manifest.json does not exist; run generate first"),
        ("ingest.dataset_uri=/nowhere/dataset", "/nowhere/dataset/manifest.json does not exist; run ingest first"),
    ],
)
def test_what_cannot_be_scored_is_refused_and_leaves_nothing(
    scored: Run, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        evaluate(scored.recipe(override, f"evaluate.report_uri={tmp_path}/report"))
    assert not (tmp_path / "report").exists()


def test_damaged_samples_are_refused(scored: Run, tmp_path: Path) -> None:
    samples = Path(shutil.copytree(scored.recipe().generate.samples_uri, tmp_path / "samples"))
    path = samples / storage.read_json(f"{samples}/manifest.json")["shards"][1]["uri"]
    data = bytearray(path.read_bytes())
    data[100:400] = bytes(300)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=path.name) as raised:
        evaluate(scored.recipe(f"generate.samples_uri={samples}", f"evaluate.report_uri={tmp_path}/report"))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no picture", r"cannot be read: not a readable image"),
        (encode_png(np.zeros((8, 9, 3), np.uint8)), "has 8 x 9 pixels, others 16 x 16; one size is needed"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(scored: Run, tmp_path: Path, data: bytes, message: str) -> None:
    def spoil(columns: dict[str, Any]) -> None:
        pictures = columns["image"].to_pylist()
        pictures[7]["bytes"] = data
        columns["image"] = pa.array(pictures, columns["image"].type)
        columns["sample_id"] = pa.array([f"s{row}" for row in range(NUM_TEST)])

    uri = fake_samples(scored, tmp_path / "samples", spoil)
    with pytest.raises(BadInput, match=f"picture 's7' of .*samples/.*parquet {message}") as raised:
        evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}/report"))
    assert "\n" not in str(raised.value) and not (tmp_path / "report").exists()


def test_the_same_picture_for_every_prompt_is_noticed(scored: Run, tmp_path: Path) -> None:
    def repeat(columns: dict[str, Any]) -> None:
        columns["image"] = columns["image"].take([0] * NUM_TEST)

    uri = fake_samples(scored, tmp_path / "samples", repeat)
    report = evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}")).to_json()
    suffix = f"{NUM_TEST}_indomain"
    assert report["metrics"][f"near_duplicates{suffix}"] == 1 and report["metrics"][f"is{suffix}"] == pytest.approx(1)
    assert report["metrics"][f"recall{suffix}"] == 0 and report["metrics"][f"coverage{suffix}"] < 0.2


def test_one_picture_is_no_set(scored: Run, tmp_path: Path) -> None:
    table = pa.table({"prompt_id": ["a"], "prompt": ["a red circle"]})
    storage.commit_table(f"{tmp_path}/prompts.parquet", table)
    settings = [f"generate.prompts_uri={tmp_path}/prompts.parquet", f"evaluate.report_uri={tmp_path}/report"]
    with pytest.raises(BadInput, match="1 picture cannot be scored as a set, at least 2 are needed"):
        evaluate(scored.recipe("evaluate.from_prompts=true", *settings))
    assert not (tmp_path / "report").exists()


def test_the_reference_as_samples_is_marked(scored: Run, tmp_path: Path) -> None:
    dataset = scored.recipe().ingest.dataset_uri
    (uri,) = shard_uris(dataset, read_manifest(dataset), "val")
    real = storage.read_table([uri])

    def take_reference(columns: dict[str, Any]) -> None:
        columns |= {"sample_id": real["id"], "prompt": real["text"], "image": real["image"]}
        columns["attributes"] = real["attributes"]

    uri = fake_samples(scored, tmp_path / "samples", take_reference)
    report = evaluate(scored.recipe(f"generate.samples_uri={uri}", f"evaluate.report_uri={tmp_path}")).to_json()
    name = f"fid{NUM_TEST}_indomain"
    assert report["metrics"][name] < 1e-6
    assert report["marks"][name] == "the pictures are those of the reference: nothing has been measured"


def test_a_damaged_in_domain_network_is_refused(scored: Run, tmp_path: Path) -> None:
    dataset = Path(shutil.copytree(scored.recipe().ingest.dataset_uri, tmp_path / "dataset"))
    (network,) = dataset.glob("indomain-*/indomain.safetensors")
    network.write_bytes(network.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"in-domain network: sha256 is .* delete its folder to train it anew"):
        evaluate(scored.recipe(f"ingest.dataset_uri={dataset}", f"evaluate.report_uri={tmp_path}/report"))


def test_the_network_is_trained_once_for_a_data_set(scored: Run) -> None:
    dataset = Path(scored.recipe().ingest.dataset_uri)
    (folder,) = dataset.glob("indomain-*")
    described = json.loads((folder / "indomain.json").read_bytes())
    manifest = storage.read_json(f"{dataset}/manifest.json")
    assert described["dataset_digest"] == manifest["totals"]["dataset_digest"] and described["seed"] == 0
    assert set(tiny.contents(folder)) == {"indomain.json", "indomain.safetensors"}


@pytest.mark.parametrize(("count", "name"), [(2000, "2k"), (50_000, "50k"), (951, "951"), (1500, "1500"), (0, "0")])
def test_counts_in_names(count: int, name: str) -> None:
    assert count_name(count) == name
