"""Evaluation with a further extractor, by group and with features kept: the same bytes whoever does the work."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from pipelines import storage
from pipelines.evaluate.driver import evaluate
from tests.pipelines.tiny import NUM_TEST, Run

WIDTH = 12
DESCRIPTION = {
    "name": "own",
    "size": [16, 16],
    "resizer": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "layers": [
        {"Conv2d": {"in_channels": 3, "out_channels": WIDTH, "kernel_size": 4, "stride": 4}},
        {"ReLU": {}},
        {"AdaptiveAvgPool2d": {"output_size": 1}},
        {"Flatten": {}},
    ],
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    generator = torch.Generator().manual_seed(1)
    weights = {
        "0.weight": torch.randn((WIDTH, 3, 4, 4), generator=generator),
        "0.bias": torch.randn((WIDTH,), generator=generator),
    }
    data = save(weights, {"extractor": json.dumps(DESCRIPTION)})
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return (
        "evaluate.from_prompts=true",
        f"evaluate.extractor.weights_uri={path}",
        f"evaluate.extractor.sha256={digest}",
        "evaluate.group_by=shape",
    )


@pytest.fixture(scope="module")
def report(trained: Run, settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("further")
    kept = f"evaluate.features_uri={folder}/features"
    return evaluate(trained.recipe(*settings, kept, f"evaluate.report_uri={folder}")).to_json()


def features(report: dict[str, Any], set_name: str, extractor: str) -> np.ndarray:
    """Those that were written down, in the order of their blocks."""
    folder = Path(report["config"]["evaluate"]["features_uri"])
    uris = [str(path) for path in sorted(folder.glob(f"{set_name}-*.parquet"))]
    return np.array(storage.read_table(uris)[extractor].to_pylist(), np.float32)


def test_scores_of_both_networks_stand_side_by_side(report: dict[str, Any], settings: tuple[str, ...]) -> None:
    digest = settings[2].rpartition("=")[2]
    name = f"own_{digest[:8]}"
    assert report["extractors"][name]["digest"] == digest
    for metric in ("fid", "kid", "precision", "recall", "density", "coverage", "near_duplicates", "copied"):
        for extractor in ("indomain", name):
            assert f"{metric}{NUM_TEST}_{extractor}" in report["metrics"], metric
            assert f"{metric}{NUM_TEST}_{extractor}" in report["floors"], metric
    assert f"is{NUM_TEST}_{name}" not in report["metrics"]  # it knows no classes


def test_features_are_kept_and_give_the_scores(report: dict[str, Any]) -> None:
    (name,) = {*report["extractors"]} - {"indomain"}
    for extractor, width in (("indomain", 8), (name, WIDTH)):
        samples, reference = (features(report, which, extractor) for which in ("samples", "reference"))
        assert samples.shape == (NUM_TEST, width)
        distance = frechet_distance(Moments.from_features(samples), Moments.from_features(reference))
        assert report["metrics"][f"fid{NUM_TEST}_{extractor}"] == pytest.approx(distance, rel=1e-6)


def test_groups_add_up(report: dict[str, Any], trained: Run) -> None:
    groups = report["groups"]
    assert groups["by"] == "shape"
    assert sum(held["num_pictures"] for held in groups["real"].values()) == NUM_TEST
    right = sum(held["metrics"]["shape_accuracy"] * held["num_pictures"] for held in groups["samples"].values())
    assert right == pytest.approx(report["metrics"]["shape_accuracy"] * NUM_TEST)
    assert all(held["metrics"]["shape_accuracy"] > 0.9 for held in groups["real"].values())
    for held in groups["samples"].values():
        assert (f"fid{held['num_pictures']}_indomain" in held["metrics"]) == (held["num_pictures"] > 1)
    page = Path(report["config"]["evaluate"]["report_uri"], "report.html").read_text(encoding="utf-8")
    assert "By shape" in page and all(f"<span>{name} <small>" in page for name in groups["samples"])


def test_few_pictures_are_marked(report: dict[str, Any]) -> None:
    """Those of the network of 12 features; of 8 features there are 5 pictures each."""
    ((marked, why),) = report["marks"].items()
    assert marked == f"fid{NUM_TEST}_own_{report['config']['evaluate']['extractor']['sha256'][:8]}"
    assert f"{NUM_TEST} pictures of {WIDTH} features: too large" in why and "below 60;" in why


def test_what_is_known_already_changes_nothing(
    report: dict[str, Any], trained: Run, settings: tuple[str, ...], tmp_path: Path
) -> None:
    again = evaluate(trained.recipe(*settings, f"evaluate.report_uri={tmp_path}")).to_json()
    require_equal(again, report)


@pytest.mark.slow("a pool of two actors")
def test_two_workers_change_nothing(
    on_ray: None, report: dict[str, Any], trained: Run, settings: tuple[str, ...], tmp_path: Path
) -> None:
    again = evaluate(trained.recipe(*settings, "evaluate.num_workers=2", f"evaluate.report_uri={tmp_path}")).to_json()
    require_equal(again, report)


def require_equal(again: dict[str, Any], report: dict[str, Any]) -> None:
    for name in ("metrics", "intervals", "marks", "floors", "groups", "counts", "extractors", "protocol_digest"):
        assert json.dumps(again[name]) == json.dumps(report[name]), name


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluate.extractor.weights_uri=nowhere.pth", "nowhere.pth does not exist; expected are weights of Inception"),
        ("evaluate.extractor.sha256=" + "beef" * 16, "with sha256 [0-9a-f]{64}, expected is beef"),
        ("evaluate.group_by=mood", "evaluate.group_by is 'mood', of which the test split has 0 values; 1 to 100 are"),
    ],
)
def test_what_cannot_be_scored_is_refused_first(
    trained: Run, settings: tuple[str, ...], override: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(trained.recipe(*settings, override, f"evaluate.report_uri={tmp_path}/none"))
    assert not (tmp_path / "none").exists()


def test_weights_that_make_no_numbers_are_refused(trained: Run, settings: tuple[str, ...], tmp_path: Path) -> None:
    weights = {"0.weight": torch.full((WIDTH, 3, 4, 4), float("nan")), "0.bias": torch.zeros(WIDTH)}
    data = save(weights, {"extractor": json.dumps(DESCRIPTION)})
    path = tmp_path / "broken.safetensors"
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    broken = (f"evaluate.extractor.weights_uri={path}", f"evaluate.extractor.sha256={digest}")
    with pytest.raises(ValueError, match=r"own_\w+: features of picture '.+' are NaN or infinite"):
        evaluate(trained.recipe(*settings, *broken, f"evaluate.report_uri={tmp_path}/none"))
    assert not (tmp_path / "none").exists()
