"""MLflow: runs with their data set inputs, metrics and files; model versions and their aliases.

    run_id = start_run(recipe.tracking, "train", recipe.as_dict(), identity, {"train": (uri, digest)}, {})
    log_metrics(recipe.tracking, run_id, {"loss_g": 0.7}, step=25)
    finish_run(recipe.tracking, run_id, "FINISHED")

The only file that imports mlflow, but for pipelines/registered_model.py, the code that MLflow stores with a version.
Every function takes the TrackingConfig and asks its server or database; nothing global is set. Credentials come from
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN.
"""

import functools
import json
import logging
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal

import numpy as np

# Read by mlflow when it is imported. No pickle is loaded, and no call leaves for anywhere but the tracking server; one
# that is down is known within seconds, where mlflow's own defaults go on trying for four minutes.
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

import mlflow
from mlflow import entities
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.utils import validation as limits
from sqlalchemy.exc import SQLAlchemyError

import ganrnn
from ganrnn.checkpoint import DESCRIPTION, SAMPLER_FILES, describe, load_sampler
from ganrnn.errors import BadInput
from ganrnn.images import encode_png
from pipelines.config import TrackingConfig
from pipelines.prompt_frame import KINDS, frame
from pipelines.schemas import code_revision

for _name in ("alembic", "mlflow"):
    logging.getLogger(_name).setLevel(logging.WARNING)

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

_MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_REQUIREMENTS = ("mlflow", "torch", "numpy", "pillow", "safetensors", "pandas", "tokenizers")
_OPTIONAL = (ColSpec("long", "seed", required=False), ColSpec("string", "sample_id", required=False))
_OF_TEXTS = (ColSpec("string", "decoding", required=False),)


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model; `run_id` is the run that it came from."""

    version: str
    run_id: str
    tags: Mapping[str, str]


def start_run(
    tracking: TrackingConfig,
    verb: str,
    recipe: Mapping[str, Any],
    identity: str,
    datasets: Mapping[str, tuple[str, str]],
    tags: Mapping[str, str],
) -> str:
    """Open a run, or take up the unfinished one of the same verb and identity, and return its id.

    `recipe` is logged as flat params; what differs from the params of a run taken up again goes to tags
    `ganrnn.changed.NAME`, because MLflow's params are immutable. `datasets` is name -> (uri, digest).
    """
    client = _client(tracking.tracking_uri)
    experiment_id = _experiment(client, tracking)
    found = client.search_runs([experiment_id], _all_tags({"ganrnn.verb": verb, "ganrnn.identity": identity}))
    unfinished = [run for run in found if run.info.status != "FINISHED"]
    if unfinished:
        run = unfinished[0]
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        run = client.create_run(experiment_id, run_name=f"{verb}-{identity[:8]}")
    run_id: str = run.info.run_id
    params, known = _flat(recipe), run.data.params
    changed = {f"ganrnn.changed.{k}": v for k, v in params.items() if k in known and known[k] != v}
    all_tags = {
        **tags,
        **changed,
        **{f"ganrnn.dataset_digest.{name}": digest for name, (_, digest) in datasets.items()},
        "ganrnn.verb": verb,
        "ganrnn.identity": identity,
        "mlflow.source.git.commit": code_revision(),
    }
    fresh = [entities.Param(key, value) for key, value in params.items() if key not in known]
    size = limits.MAX_PARAMS_TAGS_PER_BATCH
    for start in range(0, len(fresh), size):
        client.log_batch(run_id, params=fresh[start : start + size])
    client.log_batch(run_id, tags=[entities.RunTag(k, v[: limits.MAX_TAG_VAL_LENGTH]) for k, v in all_tags.items()])
    if datasets:
        client.log_inputs(run_id, [_dataset_input(name, *held) for name, held in datasets.items()])
    return run_id


def find_run(tracking: TrackingConfig, verb: str, tags: Mapping[str, str]) -> str | None:
    """The newest run of a verb that carries all these tags."""
    client = _client(tracking.tracking_uri)
    runs = client.search_runs([_experiment(client, tracking)], _all_tags({**tags, "ganrnn.verb": verb}), max_results=1)
    return runs[0].info.run_id if runs else None


def log_metrics(tracking: TrackingConfig, run_id: str, metrics: Mapping[str, float], step: int) -> None:
    """Log numbers at a step. NaN and infinities, which databases refuse, are counted as metric `nonfinite` instead."""
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    if len(finite) < len(metrics):
        finite["nonfinite"] = float(len(metrics) - len(finite))
    now = time.time_ns() // 1_000_000
    _client(tracking.tracking_uri).log_batch(
        run_id, metrics=[entities.Metric(k, v, now, step) for k, v in finite.items()]
    )


def log_image(tracking: TrackingConfig, run_id: str, image: np.ndarray, artifact_path: str) -> None:
    """Log a picture, uint8 [H, W, 3], as PNG."""
    log_file(tracking, run_id, encode_png(image), artifact_path)


def log_file(tracking: TrackingConfig, run_id: str, content: Path | bytes, artifact_path: str) -> None:
    """Log a file, or bytes, under a name of its own, for example "samples/step-1000.png"."""
    folder, _, name = artifact_path.rpartition("/")
    data = content if isinstance(content, bytes) else content.read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / name).write_bytes(data)
        _client(tracking.tracking_uri).log_artifact(run_id, f"{scratch}/{name}", folder or None)


def finish_run(tracking: TrackingConfig, run_id: str, status: RunStatus) -> None:
    """Close a run."""
    _client(tracking.tracking_uri).set_terminated(run_id, status)


def register(
    tracking: TrackingConfig,
    run_id: str,
    name: str,
    model_folder: Path,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    example: Mapping[str, Any],
) -> RegisteredVersion:
    """Store a local model folder as the next version of a registered model.

    The version is loaded back with pickles refused and has to paint the example as the model folder does, byte for
    byte; else it is deleted again and RuntimeError raised. Metrics are kept with the logged model and as tags
    `ganrnn.metric.NAME` of the version. Aliases stay where they are.
    """
    client = _client(tracking.tracking_uri)
    _create_registered_model(client, name)
    files = {file: (model_folder / file).read_bytes() for file in SAMPLER_FILES}
    description = describe(files[DESCRIPTION], str(model_folder / DESCRIPTION))
    digests = {"model_digest": description["model_digest"], "code_revision": code_revision()}
    tags = {
        **tags,
        **{f"ganrnn.metric.{metric}": repr(float(value)) for metric, value in metrics.items()},
        **{f"ganrnn.{key}": value for key, value in digests.items()},
    }
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=name, source_run_id=run_id, tags=tags)
    with ExitStack() as undo:
        undo.callback(client.finalize_logged_model, logged.model_id, entities.LoggedModelStatus.FAILED)
        with tempfile.TemporaryDirectory() as scratch:
            flavour = Model(
                run_id=run_id, model_id=logged.model_id, artifact_path=logged.artifact_location, metadata=digests
            )
            _save(Path(scratch) / "model", model_folder, flavour, load_sampler(files).gives, example)
            client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        # The source is a place: one of models:/ID would be looked up in mlflow's global store. The id goes to a tag,
        # because the registry's tables have no column for it.
        tags["ganrnn.logged_model_id"] = logged.model_id
        made = client.create_model_version(name, logged.artifact_location, run_id, tags=tags, model_id=logged.model_id)
        undo.callback(client.delete_model_version, name, made.version)
        _check_loaded_back(tracking, name, made.version, files, example)
        client.set_model_version_tag(name, made.version, "ganrnn.loaded_back", "true")
        undo.pop_all()
    client.finalize_logged_model(logged.model_id, entities.LoggedModelStatus.READY)
    client.log_outputs(run_id, [entities.LoggedModelOutput(logged.model_id, step=description["step"])])
    now = time.time_ns() // 1_000_000
    values = [
        entities.Metric(key, float(v), now, description["step"], model_id=logged.model_id) for key, v in metrics.items()
    ]
    client.log_batch(run_id, metrics=values)
    return _version(client.get_model_version(name, made.version))


def find_version(tracking: TrackingConfig, name: str, tags: Mapping[str, str]) -> RegisteredVersion | None:
    """The newest version that was loaded back after registration and carries all these tags."""
    client = _client(tracking.tracking_uri)
    wanted = _all_tags({**tags, "ganrnn.loaded_back": "true"})
    found = client.search_model_versions(f"name = '{name}' and {wanted}")
    return _version(max(found, key=lambda made: int(made.version))) if found else None


def find_alias(tracking: TrackingConfig, name: str, alias: str) -> RegisteredVersion | None:
    """The version that carries an alias."""
    client = _client(tracking.tracking_uri)
    version = _aliases(client, name).get(alias)
    return None if version is None else _version(client.get_model_version(name, version))


def set_alias(tracking: TrackingConfig, name: str, alias: str, version: str) -> None:
    """Move an alias to a version, in one call."""
    _client(tracking.tracking_uri).set_registered_model_alias(name, alias, version)


def download_model(tracking: TrackingConfig, uri: str, directory: Path) -> Path:
    """Copy checkpoint.json and sampler.safetensors of models:/NAME@ALIAS or models:/NAME/VERSION into `directory`.

    Raises BadInput that names what the registry holds when the name, alias or version is unknown.
    """
    match = _MODEL_URI.fullmatch(uri)
    if not match:
        raise BadInput(f"{uri} is no model URI; allowed are models:/NAME@ALIAS and models:/NAME/VERSION")
    client = _client(tracking.tracking_uri)
    location = _location(client, match["name"], _known_version(client, uri, **match.groupdict()))
    for file in SAMPLER_FILES:
        try:
            mlflow.artifacts.download_artifacts(
                f"{location}/artifacts/{file}", dst_path=str(directory), tracking_uri=tracking.tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise BadInput(f"{uri} cannot be read: no {file} at {location} ({_first_line(error)})") from error
    return directory


@functools.lru_cache
def _client(tracking_uri: str) -> mlflow.MlflowClient:
    """A client that has answered once; BadInput where there is nobody to answer."""
    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        client = mlflow.MlflowClient(tracking_uri, tracking_uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise BadInput(
            f"tracking.tracking_uri {_PASSWORD.sub('***@', tracking_uri)} cannot be used ({_first_line(error)}); "
            "allowed are sqlite:///FILE, postgresql+psycopg2://HOST/DATABASE and the http(s):// address of a server"
        ) from error
    return client


def _experiment(client: mlflow.MlflowClient, tracking: TrackingConfig) -> str:
    found = client.get_experiment_by_name(tracking.experiment)
    if found is None:
        # A server places artifacts where it was told to; a bare database would place them in the working directory.
        served = tracking.tracking_uri.startswith(("http://", "https://"))
        try:
            return str(client.create_experiment(tracking.experiment, None if served else tracking.artifact_uri))
        except MlflowException as error:
            found = client.get_experiment_by_name(tracking.experiment)
            if found is None:
                raise BadInput(
                    f"tracking.experiment {tracking.experiment!r} is refused: {_first_line(error)}"
                ) from error
    if found.lifecycle_stage != "active":
        raise BadInput(f"tracking.experiment {tracking.experiment!r} was deleted; restore it or choose another name")
    return str(found.experiment_id)


def _create_registered_model(client: mlflow.MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise BadInput(f"promote.registered_model {name!r} is refused: {_first_line(error)}") from error
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _dataset_input(name: str, uri: str, digest: str) -> entities.DatasetInput:
    source = json.dumps({"uri": uri, "digest": digest})
    scheme = "s3" if uri.startswith("s3://") else "local"
    dataset = entities.Dataset(name, digest[: limits.MAX_DATASET_DIGEST_SIZE], scheme, source)
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", name)])


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as "a.b" -> text, cut at MLflow's limits, passwords in URIs left out."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat[name[: limits.MAX_ENTITY_KEY_LENGTH]] = _PASSWORD.sub("***@", text)[: limits.MAX_PARAM_VAL_LENGTH]
    return flat


def _all_tags(tags: Mapping[str, str]) -> str:
    """A search filter; values are digests, names of verbs and booleans, without quotes."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def _version(found: Any) -> RegisteredVersion:
    return RegisteredVersion(str(found.version), found.run_id, dict(found.tags))


def _aliases(client: mlflow.MlflowClient, name: str) -> dict[str, str]:
    """Alias -> version; empty where the model does not exist."""
    try:
        return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def _known_version(client: mlflow.MlflowClient, uri: str, name: str, alias: str | None, version: str | None) -> str:
    versions = [str(found.version) for found in client.search_model_versions(f"name = '{name}'")]
    if not versions:
        names = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none"
        raise BadInput(f"{uri}: no model {name!r} is registered; registered are: {names}")
    if alias is None:
        asked = str(int(version or ""))
        if asked not in versions:
            raise BadInput(f"{uri}: there is no version {asked}; versions are {', '.join(sorted(versions, key=int))}")
        return asked
    aliases = _aliases(client, name)
    if alias not in aliases:
        raise BadInput(f"{uri}: there is no alias {alias!r}; aliases are: {', '.join(sorted(aliases)) or 'none'}")
    return aliases[alias]


def _location(client: mlflow.MlflowClient, name: str, version: str) -> str:
    return str(client.get_model_version_download_uri(name, version)).rstrip("/")


def _save(target: Path, model_folder: Path, flavour: Model, gives: str, example: Mapping[str, Any]) -> None:
    optional = [*_OPTIONAL, *_OF_TEXTS] if gives == "texts" else [*_OPTIONAL]
    made = ColSpec(
        *{"images": ("binary", "image"), "texts": ("string", "text"), "scores": ("float", "match_score")}[gives]
    )
    mlflow.pyfunc.save_model(
        path=str(target),
        python_model=str(Path(__file__).with_name("registered_model.py")),
        artifacts={file: str(model_folder / file) for file in SAMPLER_FILES},
        code_paths=[str(Path(ganrnn.__file__).parent)],
        signature=ModelSignature(
            Schema([*(ColSpec(KINDS[column], column) for column in example), *optional]), Schema([made])
        ),
        input_example=frame(example, seed=0),
        # Local version labels such as +cpu exist in no public index.
        pip_requirements=[f"{package}=={installed_version(package).split('+')[0]}" for package in _REQUIREMENTS],
        mlflow_model=flavour,
    )
    for cache in target.rglob("__pycache__"):
        shutil.rmtree(cache)


def _check_loaded_back(
    tracking: TrackingConfig, name: str, version: str, files: Mapping[str, bytes], example: Mapping[str, Any]
) -> None:
    location = _location(_client(tracking.tracking_uri), name, version)
    seed, sample_id = 1, "loaded-back"
    import_path = list(sys.path)
    with tempfile.TemporaryDirectory() as scratch:
        folder = mlflow.artifacts.download_artifacts(location, dst_path=scratch, tracking_uri=tracking.tracking_uri)
        try:
            rows = frame(example, seed=seed, sample_id=sample_id)
            registered = mlflow.pyfunc.load_model(folder).predict(rows).iloc[0, 0]
        finally:
            # load_model puts the version's copy of ganrnn in front; its folder is about to go.
            sys.path[:] = import_path
    columns = {"prompt_id": [sample_id]} | {column: [value] for column, value in example.items()}
    task = load_sampler(files)
    made = task.sample(columns, [(seed, sample_id)])[0]
    expected = {
        "images": lambda: encode_png(made.permute(1, 2, 0).cpu().numpy()),
        "texts": lambda: made.text,
        "scores": lambda: float(made),
    }[task.gives]()
    if registered != expected:
        raise RuntimeError(f"models:/{name}/{version} does not paint what its checkpoint paints; it was deleted")


def _first_line(error: Exception) -> str:
    return _PASSWORD.sub("***@", (str(error).strip().splitlines() or [type(error).__name__])[0])[:300]
