"""Files that commit 1f2d0ad wrote, read by the present code: data sets, checkpoints, samples, reports, a version.

tests/fixtures/1f2d0ad/README.md says how they were written.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from safetensors.torch import load_file

import ganrnn
from ganrnn.checkpoint import DESCRIPTION, SAMPLER, TRAINING_FILES, load_sampler
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.runner import Workers
from pipelines.cluster.serial_runner import SerialRunner
from pipelines.cluster.session import using
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.evaluate.compare import compare as compare_reports
from pipelines.evaluate.images.protocol import protocol_digest, protocol_of
from pipelines.evaluate.images.reference_cache import ReferenceCache
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.generate.driver import generate
from pipelines.generate.verify import verify
from pipelines.ingest.driver import ingest
from pipelines.promote.decision import Decision, compare, failed_thresholds, with_champion_metric
from pipelines.promote.scored_report import read_report
from pipelines.sampling.model_files import fetch_files
from pipelines.tracking.registry import RegisteredVersion
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.driver import train, training_identity
from pipelines.train.worker import train_worker
from tests.pipelines.mlflow_store import new_store
from tests.pipelines.tiny import contents, write_here
from tests.pipelines.train.forked import ForkedRunner
from tests.pipelines.train.jobs import job_of

FIXTURES = Path(__file__).parents[2] / "fixtures/1f2d0ad"
WRITTEN_ON = ("AVX512", "Intel(R) Xeon(R) Processor")
LOAD_AND_PREDICT = """
import os, sys, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(pandas.read_pickle(sys.argv[2])).to_pickle(sys.argv[3])
import ganrnn
print(os.path.realpath(ganrnn.__file__))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files, to be written to."""
    copy = Path(shutil.copytree(FIXTURES, tmp_path / "copy"))
    new_store(copy)
    return copy


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """The registered version as it was in the artifact store."""
    with tarfile.open(FIXTURES / "registered_version.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "registered_version"


def recipe_of(folder: Path, name: str, *overrides: str) -> Recipe:
    """The recipe of a run, with that run in a copy of the files."""
    store = (f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db", f"tracking.artifact_uri={folder}/mlartifacts")
    return load_recipe(str(folder / f"{name}.yaml"), [f"run_uri={folder}/{name}", *store, *overrides])


def cpu() -> tuple[str, str]:
    """What the last bits of trained weights depend on: torch's instruction set and the CPU's name."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = re.findall(r"^model name\s*: (.*)$", info, re.MULTILINE)
    return torch.backends.cpu.get_cpu_capability(), names[0] if names else ""


def first_shard(folder: Path) -> list[dict[str, Any]]:
    """The rows of the first file of pictures."""
    first = min((folder / "pictures/samples").glob("*-000000.parquet"))
    return storage.read_table([str(first)]).to_pylist()


def asked(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """What a registered version is asked for to repeat samples."""
    return pd.DataFrame([{name: row[name] for name in ("prompt", "seed", "sample_id")} for row in rows])


@pytest.mark.parametrize("name", ["pictures", "texts"])
def test_a_data_set_is_taken_as_finished(folder: Path, name: str) -> None:
    before = contents(folder)
    manifest = ingest(recipe_of(folder, name))
    assert manifest.to_json() == storage.read_json(f"{folder}/{name}/dataset/manifest.json")
    assert manifest.code_revision.startswith("1f2d0ad") and contents(folder) == before


@pytest.mark.parametrize("name", ["pictures", "texts"])
def test_a_data_set_is_written_again_with_the_same_bytes(folder: Path, name: str) -> None:
    ingest(recipe_of(folder, name, f"ingest.dataset_uri={folder}/again"))
    again, before = (contents(place, "*.parquet") for place in (folder / "again", folder / name / "dataset"))
    assert again == before and len(again) >= 5


@pytest.mark.parametrize("name", ["pictures", "texts", "judge"])
def test_a_checkpoint_repeats_its_samples(folder: Path, name: str) -> None:
    recipe = recipe_of(folder, name)
    manifest = storage.read_json(f"{folder}/{name}/samples/manifest.json")
    sampler = load_sampler(fetch_files(recipe.generate.model_uri, recipe.tracking))
    assert sampler.model_digest == manifest["model_digest"]
    write_here(recipe_of(folder, name, f"generate.samples_uri={folder}/again"))
    again, before = (contents(place, "*-*.parquet") for place in (folder / "again", folder / name / "samples"))
    assert again == before and len(again) == len(manifest["shards"])


def test_a_training_of_pictures_is_refused_since_they_are_trained_otherwise_now(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(BadInput, match=r"was begun with task\.architecture = 'style', now it is 'style_palette'"):
        train(recipe_of(folder, "pictures"))
    assert contents(folder) == before


def test_a_training_goes_on_to_the_checkpoint_that_it_wrote_then(folder: Path) -> None:
    recipe = recipe_of(folder, "texts")
    checkpoints, then = folder / "texts/checkpoints", FIXTURES / "texts/checkpoints"
    expected = storage.read_json(f"{then}/step-00000008/{DESCRIPTION}")
    shutil.rmtree(checkpoints / "step-00000008")
    identity = training_identity(recipe, read_manifest(recipe.ingest.dataset_uri))
    assert identity == storage.read_json(f"{checkpoints}/run.json")
    newest = Checkpoints(str(checkpoints), 2).newest()
    assert newest and newest.step == 4
    runner = ForkedRunner() if recipe.train.num_workers > 1 else SerialRunner()
    runner.train(train_worker, job_of(recipe), Workers(recipe.train.num_workers), "", failures=0)
    weights, expected_weights = (load_file(f"{place}/step-00000008/{SAMPLER}") for place in (checkpoints, then))
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-6)
    if cpu() == WRITTEN_ON:  # the description holds the digests of all weights, optimisers and generators
        assert storage.read_json(f"{checkpoints}/step-00000008/{DESCRIPTION}") == expected
    assert expected["files"].keys() == set(TRAINING_FILES)


@pytest.mark.parametrize("name", ["pictures", "texts", "judge"])
def test_finished_samples_are_left_as_they_are(folder: Path, name: str) -> None:
    before = contents(folder)
    assert generate(recipe_of(folder, name)).to_json() == storage.read_json(f"{folder}/{name}/samples/manifest.json")
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["pictures", "texts", "judge"])
def test_samples_are_verified(folder: Path, name: str) -> None:
    shards = storage.read_json(f"{folder}/{name}/samples/manifest.json")["shards"]
    rows = sum(shard["rows"] for shard in shards)
    with using(SerialRunner()):
        counts = verify(recipe_of(folder, name, "generate.verify_share=1"))
    assert counts == {
        "shards": len(shards),
        "rows": rows,
        "shards_made_again": len(shards),
        "rows_made_again": rows,
        "rows_rounded": 0,
    }


@pytest.mark.parametrize("name", ["pictures", "texts"])
def test_reports_are_compared(name: str) -> None:
    uri = str(FIXTURES / name)
    lines = compare_reports(uri, uri)
    metrics = {metric for metric in storage.read_json(f"{uri}/report.json")["metrics"] if not metric.endswith("_std")}
    assert {line.metric for line in lines} == metrics and len(metrics) >= 8
    assert all(line.a == line.b and line.better in ("even", "") for line in lines)


def test_a_report_is_promoted_against_its_champion(folder: Path) -> None:
    recipe = recipe_of(folder, "pictures")
    report = read_report(f"{folder}/pictures/report.json")
    promotion = storage.read_json(f"{folder}/pictures/promotion.json")
    assert Decision(**promotion["decision"]) == Decision("1", "champion", ["there was no champion"])
    config = with_champion_metric(recipe.promote, report.metrics)
    assert promotion["promote"] == asdict(config)
    lineage = promotion["lineage"]
    assert (lineage["report_digest"], lineage["model_digest"]) == (report.digest, report.model_digest)
    manifest = storage.read_bytes(f"{folder}/pictures/samples/manifest.json")
    assert lineage["samples_manifest_digest"] == report.evaluation.samples_manifest_digest == storage.sha256(manifest)
    assert failed_thresholds(config, report) == []
    tags = storage.read_json(f"{folder}/registered_version_tags.json")
    champion = RegisteredVersion("1", lineage["run_id"], tags)
    assert compare(config, report, champion, None) == (
        False,
        "r_precision_4 0.333333 does not beat 0.333333 of champion version 1 (difference -0.338 to 0.338 in 95 %)",
    )


def test_scores_are_kept_and_compared_under_the_same_names(folder: Path) -> None:
    recipe = recipe_of(folder, "pictures")
    report = storage.read_json(f"{folder}/pictures/report.json")
    manifest, uri = read_manifest(recipe.ingest.dataset_uri), recipe.ingest.dataset_uri
    reference, real = (shard_uris(uri, manifest, split) for split in ("val", "test"))
    protocol = protocol_of(recipe, manifest, reference, real, None)
    network_digest = report["extractors"]["indomain"]["digest"]
    cache = ReferenceCache(recipe, manifest, network_digest, protocol, None)
    # Statistics of version 3, in scores-cca4edd47dc5, have no factors of scenes: they are computed again.
    assert cache.uri == f"{uri}/scores-45fd25b193c6/sets.parquet"
    digest = protocol_digest(protocol, network_digest, report["digests"], report["counts"])
    assert digest == report["protocol_digest"]


def test_a_registered_version_repeats_samples_in_a_fresh_process(version: Path, tmp_path: Path) -> None:
    rows = first_shard(FIXTURES)
    asked(rows).to_pickle(tmp_path / "asked")
    arguments = (str(version), str(tmp_path / "asked"), str(tmp_path / "made"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, *arguments],
        cwd=tmp_path,
        env=environment | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2_000:]
    assert Path(result.stdout.strip()) == (version / "code/ganrnn/__init__.py").resolve()
    assert list(pd.read_pickle(tmp_path / "made")["image"]) == [row["image"]["bytes"] for row in rows]


def test_a_registered_version_says_why_it_does_not_load_next_to_the_present_code(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # load_model puts the version's own code in front
    with pytest.raises(MlflowException, match=r"ganrnn\.images moved .* in a process that has not imported ganrnn"):
        mlflow.pyfunc.load_model(str(version))
    assert sys.modules["ganrnn"] is ganrnn
