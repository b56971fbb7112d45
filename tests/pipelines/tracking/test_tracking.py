"""Runs and model versions on a real MLflow: a SQLite store, and a server in a process of its own."""

import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from mlflow.utils.file_utils import local_file_uri_to_path

from ganrnn import checkpoint
from ganrnn.data import images
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import Vocabulary
from pipelines import storage
from pipelines.config.tracking import TrackingConfig
from pipelines.sampling import model_files
from pipelines.tracking import registry, runs

PROMPTS = ["a red circle", "a blue square"]
KEYS = [(3, "p0/0"), (4, "p1/0")]


def files_of_model(seed: int) -> dict[str, bytes]:
    config = TextToImageConfig(
        height=16, width=16, max_tokens=6, embedding_dim=4, hidden_dim=4, z_dim=4, style_dim=8, feature_dim=8,
        base_channels=4,
    )  # fmt: skip
    return checkpoint.pack(TextToImage(config, Vocabulary.build(PROMPTS), seed), {}, {"identity": "cafe"})


def pngs(files: dict[str, bytes]) -> list[bytes]:
    pixels = checkpoint.load_sampler(files).sample({"prompt": PROMPTS}, KEYS)
    return [images.encode_png(image) for image in pixels.permute(0, 2, 3, 1).numpy()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    folder = tmp_path_factory.mktemp("mlflow")
    return TrackingConfig(f"sqlite:///{folder}/new/mlflow.db", f"{folder}/artifacts", "tests")


def test_database_and_artifacts_lie_in_the_folder_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20+#?[1]::ü"  # SQLAlchemy and MLflow decode URIs
    folder.mkdir()
    with sqlalchemy.create_engine(runs.literal_uri(f"sqlite:///{folder}/mlflow.db")).begin() as connection:
        connection.execute(sqlalchemy.text("create table t (x)"))
    assert [path.name for path in tmp_path.rglob("*")] == [folder.name, "mlflow.db"]
    assert local_file_uri_to_path(runs.literal_folder(f"{folder}/art")) == f"{folder}/art"


@pytest.mark.parametrize(
    ("uri", "read"),
    [
        ("sqlite:////a b#/[1].db", "sqlite:////a b#/[1].db"),
        ("sqlite:////a%20b/c?/m.db", "sqlite+pysqlite:////a%2520b/c%3F/m.db"),
        ("sqlite:////a/m.db?timeout=9", "sqlite:////a/m.db?timeout=9"),
        ("sqlite:////a?x=1/m.db?timeout=9", "sqlite+pysqlite:////a%3Fx=1/m.db?timeout=9"),
        ("postgresql+psycopg2://u:p%40@h/d?a=b", "postgresql+psycopg2://u:p%40@h/d?a=b"),
        ("https://h/a%20?b", "https://h/a%20?b"),
    ],
)
def test_only_paths_of_databases_are_escaped(uri: str, read: str) -> None:
    assert runs.literal_uri(uri) == read


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    storage.commit_files(str(folder), files_of_model(seed=1), last=checkpoint.DESCRIPTION)
    return folder


@pytest.fixture(scope="module")
def registered(store: TrackingConfig, model_folder: Path) -> registry.RegisteredVersion:
    run_id = runs.start_run(store, "promote", {}, "registered", {}, {})
    tags = {"ganrnn.report_digest": "r1"}
    version = registry.register(store, run_id, "scenes", model_folder, {"fid": 12.5}, tags, {"prompt": PROMPTS[0]})
    registry.set_alias(store, "scenes", "champion", version.version)
    return version


def client(store: TrackingConfig) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(store.tracking_uri, store.tracking_uri)


def test_a_run_holds_params_tags_and_inputs(store: TrackingConfig) -> None:
    digest = "0123456789abcdef" * 4
    recipe = {"task": {"z_dim": 32}, "at_least": {}, "uri": "http://me:secret@host/x", "long": "x" * 7_000}
    recipe |= {f"many{i}": i for i in range(150)}
    inputs = {"train": ("/data/train.parquet", digest)}
    run = client(store).get_run(runs.start_run(store, "train", recipe, "id-1", inputs, {"mine": "1"}))
    assert run.data.params["task.z_dim"] == "32" and run.data.params["at_least"] == "{}"
    assert run.data.params["many149"] == "149" and len(run.data.params["long"]) == 6_000
    assert run.data.params["uri"] == "http://***@host/x"
    assert run.data.tags["ganrnn.verb"] == "train" and run.data.tags["mine"] == "1"
    assert run.data.tags["ganrnn.dataset_digest.train"] == digest
    (held,) = run.inputs.dataset_inputs
    assert (held.dataset.name, held.dataset.digest, held.dataset.source_type) == ("train", digest[:36], "local")
    assert json.loads(held.dataset.source) == {"uri": "/data/train.parquet", "digest": digest}
    assert mlflow.data.get_source(held.dataset).uri == "/data/train.parquet"


def test_an_unfinished_run_of_the_same_identity_is_taken_up_again(store: TrackingConfig) -> None:
    inputs = {"train": ("/data", "d")}
    first = runs.start_run(store, "train", {"seed": 0, "workers": 1}, "id-2", inputs, {})
    assert runs.start_run(store, "generate", {}, "id-2", {}, {}) != first
    runs.finish_run(store, first, "FAILED")
    assert runs.start_run(store, "train", {"seed": 0, "workers": 2}, "id-2", inputs, {}) == first
    run = client(store).get_run(first)
    assert run.info.status == "RUNNING" and len(run.inputs.dataset_inputs) == 1
    assert run.data.params["workers"] == "1" and run.data.tags["ganrnn.changed.workers"] == "2"
    assert "ganrnn.changed.seed" not in run.data.tags
    runs.finish_run(store, first, "FINISHED")
    assert runs.start_run(store, "train", {"seed": 0}, "id-2", inputs, {}) != first
    assert runs.find_run(store, "train", {"ganrnn.identity": "nowhere"}) is None


def test_metrics_are_finite_and_keep_their_steps(store: TrackingConfig) -> None:
    run_id = runs.start_run(store, "train", {}, "id-3", {}, {})
    runs.log_metrics(store, run_id, {"loss": 0.5, "speed": 10}, step=25)
    runs.log_metrics(store, run_id, {"loss": math.nan, "r1": math.inf, "speed": 11}, step=50)
    history = {
        name: [(m.step, m.value) for m in client(store).get_metric_history(run_id, name)] for name in ("loss", "speed")
    }
    assert history == {"loss": [(25, 0.5)], "speed": [(25, 10.0), (50, 11.0)]}
    assert client(store).get_run(run_id).data.metrics["nonfinite"] == 2


def test_files_and_pictures_are_artifacts(store: TrackingConfig, tmp_path: Path) -> None:
    run_id = runs.start_run(store, "train", {}, "id-4", {}, {})
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    (tmp_path / "here.json").write_bytes(b"{}")
    runs.log_file(store, run_id, images.encode_png(picture), "samples/step-25.png")
    runs.log_file(store, run_id, tmp_path / "here.json", "there.json")
    folder = Path(client(store).download_artifacts(run_id, "", str(tmp_path)))
    assert (folder / "samples/step-25.png").read_bytes() == images.encode_png(picture)
    assert (folder / "there.json").read_bytes() == b"{}"
    assert client(store).get_run(run_id).info.artifact_uri.startswith(store.artifact_uri)


def test_a_registered_model_paints_the_same_bytes_without_pickle(
    store: TrackingConfig, model_folder: Path, registered: registry.RegisteredVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = Path(client(store).get_model_version_download_uri("scenes", "1").removeprefix("file://"))
    loaded = mlflow.pyfunc.load_model(str(folder))
    rows = pd.DataFrame({"prompt": PROMPTS, "seed": [key[0] for key in KEYS], "sample_id": [key[1] for key in KEYS]})
    files = files_of_model(seed=1)
    assert list(loaded.predict(rows)["image"]) == pngs(files)
    default = checkpoint.load_sampler(files).sample({"prompt": PROMPTS}, [(0, "0")] * 2)
    assert images.encode_png(default[1].permute(1, 2, 0).numpy()) == loaded.predict(rows[["prompt"]])["image"][1]
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle") or path.name == "__pycache__"]
    assert (folder / "code/ganrnn/checkpoint.py").exists() and not (folder / "code/pipelines").exists()
    requirements = (folder / "requirements.txt").read_text()
    assert "torch==2" in requirements and "+" not in requirements
    assert [(column.name, column.required) for column in loaded.metadata.signature.inputs] == [
        ("prompt", True), ("seed", False), ("sample_id", False)
    ]  # fmt: skip
    assert loaded.metadata.metadata["model_digest"] == json.loads(files[checkpoint.DESCRIPTION])["model_digest"]


def test_a_version_carries_metrics_digests_and_its_run(
    store: TrackingConfig, registered: registry.RegisteredVersion
) -> None:
    digest = json.loads(files_of_model(seed=1)[checkpoint.DESCRIPTION])["model_digest"]
    assert registered.tags["ganrnn.model_digest"] == digest and registered.tags["ganrnn.metric.fid"] == "12.5"
    assert registry.find_alias(store, "scenes", "champion") == registered
    assert registry.find_alias(store, "scenes", "challenger") is None
    assert registry.find_alias(store, "nobody", "champion") is None
    assert registry.find_version(store, "scenes", {"ganrnn.model_digest": digest}) == registered
    assert registry.find_version(store, "scenes", {"ganrnn.model_digest": "other"}) is None
    logged = client(store).get_logged_model(registered.tags["ganrnn.logged_model_id"])
    assert logged.status == "READY" and logged.source_run_id == registered.run_id
    assert [(metric.key, metric.value) for metric in logged.metrics] == [("fid", 12.5)]


def test_a_version_that_paints_otherwise_is_deleted_again(
    store: TrackingConfig, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs.start_run(store, "promote", {}, "broken", {}, {})
    other = checkpoint.load_sampler(files_of_model(seed=2))
    monkeypatch.setattr(registry, "load_sampler", lambda files: other)
    before = list(sys.path)
    with pytest.raises(RuntimeError, match="models:/broken/1 does not sample what its checkpoint samples"):
        registry.register(store, run_id, "broken", model_folder, {}, {}, {"prompt": PROMPTS[0]})
    assert client(store).search_model_versions("name = 'broken'") == []
    assert sys.path == before


def test_a_version_left_before_it_was_loaded_back_is_not_found(
    store: TrackingConfig, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs.start_run(store, "promote", {}, "left", {}, {})
    monkeypatch.setattr(registry, "_check_loaded_back", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    monkeypatch.setattr(mlflow.MlflowClient, "delete_model_version", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        registry.register(
            store, run_id, "left", model_folder, {}, {"ganrnn.report_digest": "r1"}, {"prompt": PROMPTS[0]}
        )
    assert [str(made.version) for made in client(store).search_model_versions("name = 'left'")] == ["1"]
    assert registry.find_version(store, "left", {"ganrnn.report_digest": "r1"}) is None


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("uri", ["models:/scenes@champion", "models:/scenes/1"])
def test_a_model_is_fetched_from_the_registry(
    store: TrackingConfig, model_folder: Path, tmp_path: Path, uri: str
) -> None:
    folder = model_files.fetch(uri, store, tmp_path / "model")
    for name in checkpoint.SAMPLER_FILES:
        assert (folder / name).read_bytes() == (model_folder / name).read_bytes()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/scenes", "models:/scenes is no model URI; allowed are models:/NAME@ALIAS and models:/NAME/VERSION"),
        ("models:/scenes@best", "there is no alias 'best'; aliases are: champion"),
        ("models:/scenes/7", "there is no version 7; versions are 1"),
        ("models:/faces/1", r"no model 'faces' is registered; registered are: .*scenes"),
    ],
)
def test_an_unknown_model_is_named_with_what_there_is(
    store: TrackingConfig, tmp_path: Path, uri: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        model_files.fetch(uri, store, tmp_path)


def test_the_newest_whole_checkpoint_of_a_folder_is_fetched(store: TrackingConfig, tmp_path: Path) -> None:
    for step, seed in ((900, 1), (1_000, 2)):
        storage.commit_files(str(tmp_path / f"run/step-{step}"), files_of_model(seed), last=checkpoint.DESCRIPTION)
    storage.commit_bytes(str(tmp_path / "run/step-2000/sampler.safetensors"), b"unfinished")
    newest = model_files.fetch(str(tmp_path / "run"), store, tmp_path / "newest")
    named = model_files.fetch(str(tmp_path / "run/step-900"), store, tmp_path / "named")
    assert (newest / checkpoint.SAMPLER).read_bytes() == files_of_model(2)[checkpoint.SAMPLER]
    assert (named / checkpoint.SAMPLER).read_bytes() == files_of_model(1)[checkpoint.SAMPLER]
    with pytest.raises(BadInput, match="step-2000 holds no model; allowed are"):
        model_files.fetch(str(tmp_path / "run/step-2000"), store, tmp_path / "none")


def test_a_tracking_uri_that_does_not_answer_is_bad_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for uri in (f"http://me:secret@127.0.0.1:{free_port()}", "nowhere://x", str(tmp_path)):
        with pytest.raises(BadInput, match=r"tracking.tracking_uri .* (cannot be used|does not answer)") as error:
            registry.download_model(TrackingConfig(uri, "", "tests"), "models:/scenes/1", tmp_path)
        assert "secret" not in str(error.value)


def test_what_else_a_registry_answers_is_not_taken_for_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only that a model is there already, or that there is none, has an answer of ours."""

    def refuses(self: mlflow.MlflowClient, name: str) -> None:
        raise MlflowException("no room", error_code=databricks_pb2.RESOURCE_LIMIT_EXCEEDED)

    store = TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path), "tests")
    for method, call in (
        ("create_registered_model", registry._create_registered_model),
        ("get_registered_model", registry._aliases),
    ):
        monkeypatch.setattr(mlflow.MlflowClient, method, refuses)
        with pytest.raises(MlflowException, match="no room"):
            call(client(store), "scenes")


def test_a_deleted_experiment_is_bad_input(store: TrackingConfig) -> None:
    gone = TrackingConfig(store.tracking_uri, store.artifact_uri, "gone")
    runs.start_run(gone, "train", {}, "x", {}, {})
    client(store).delete_experiment(client(store).get_experiment_by_name("gone").experiment_id)
    with pytest.raises(BadInput, match=r"tracking.experiment 'gone' was deleted"):
        runs.start_run(gone, "train", {}, "x", {}, {})


@pytest.mark.usefixtures("registered")
def test_runs_and_models_go_through_a_server(store: TrackingConfig, model_folder: Path, tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store.tracking_uri, "--artifacts-destination", str(tmp_path / "served")]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        )
    try:
        wait_until_open(port, server)
        served = TrackingConfig(address, "/not/used", "served")
        run_id = runs.start_run(served, "train", {"seed": 1}, "over-http", {"train": ("/data", "d" * 64)}, {})
        assert runs.start_run(served, "train", {"seed": 1}, "over-http", {}, {}) == run_id
        runs.log_metrics(served, run_id, {"loss": 0.25}, step=1)
        runs.log_file(served, run_id, b"{}", "report.json")
        version = registry.register(served, run_id, "scenes.v2", model_folder, {"fid": 1.0}, {}, {"prompt": PROMPTS[0]})
        registry.set_alias(served, "scenes.v2", "challenger", version.version)
        folder = registry.download_model(served, "models:/scenes.v2@challenger", tmp_path)
        assert (folder / checkpoint.SAMPLER).read_bytes() == (model_folder / checkpoint.SAMPLER).read_bytes()
        assert client(served).get_run(run_id).data.metrics["loss"] == 0.25
        assert [path.name for path in (tmp_path / "served").rglob("report.json")] == ["report.json"]
    finally:
        server.terminate()
        server.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(port: int, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.1)
    raise AssertionError(f"mlflow server did not open port {port}")
