"""MLflow's model registry: versions of a registered model, and their aliases.

    version = register(recipe.tracking, run_id, "scenes", model_folder, metrics, tags, {"prompt": "a red circle"})
    set_alias(recipe.tracking, "scenes", "champion", version.version)

A version is registered only after it was loaded back and gave the same sample as its checkpoint.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import mlflow
from mlflow import entities
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

import ganrnn
from ganrnn.checkpoint import DESCRIPTION, SAMPLER_FILES, describe, load_sampler
from ganrnn.errors import BadInput
from ganrnn.outputs import PlainOutput, plain_output
from pipelines.code_revision import code_revision
from pipelines.config.tracking import TrackingConfig
from pipelines.config.uri_fields import MODEL_URI
from pipelines.tracking.model_input import KINDS, frame
from pipelines.tracking.runs import all_tags, client_of, first_line, literal_uri
from pipelines.tracking.tags import METRIC

_REQUIREMENTS = ("mlflow", "torch", "numpy", "pillow", "safetensors", "pandas", "tokenizers")
_OPTIONAL = (ColSpec("long", "seed", required=False), ColSpec("string", "sample_id", required=False))
_DECODING = (ColSpec("string", "decoding", required=False),)


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model; `run_id` is the run that it came from."""

    version: str
    run_id: str
    tags: Mapping[str, str]


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

    The version is loaded back with pickles refused and has to give the same sample as the model folder, byte for byte;
    if not, it is deleted and RuntimeError raised. Metrics are kept with the logged model and as tags
    `ganrnn.metric.NAME` of the version. Aliases stay where they are.
    """
    client = client_of(tracking.tracking_uri)
    _create_registered_model(client, name)
    files = {file: (model_folder / file).read_bytes() for file in SAMPLER_FILES}
    description = describe(files[DESCRIPTION], str(model_folder / DESCRIPTION))
    digests = {"model_digest": description.model_digest, "code_revision": code_revision()}
    tags = {
        **tags,
        **{METRIC + metric: repr(float(value)) for metric, value in metrics.items()},
        **{f"ganrnn.{key}": value for key, value in digests.items()},
    }
    experiment_id = client.get_run(run_id).info.experiment_id
    # Names of logged models may not have the dot that names of registered models may have.
    logged = client.create_logged_model(experiment_id, name=name.replace(".", "-"), source_run_id=run_id, tags=tags)
    with ExitStack() as undo:
        undo.callback(client.finalize_logged_model, logged.model_id, entities.LoggedModelStatus.FAILED)
        with tempfile.TemporaryDirectory() as scratch:
            flavour = Model(
                run_id=run_id, model_id=logged.model_id, artifact_path=logged.artifact_location, metadata=digests
            )
            _save(Path(scratch) / "model", model_folder, flavour, plain_output(load_sampler(files)), example)
            client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        # The source is a URI: models:/ID would be looked up in mlflow's global store. The id goes to a tag,
        # because the registry's tables have no column for it.
        tags["ganrnn.logged_model_id"] = logged.model_id
        created = client.create_model_version(
            name, logged.artifact_location, run_id, tags=tags, model_id=logged.model_id
        )
        undo.callback(client.delete_model_version, name, created.version)
        _check_loaded_back(tracking, name, created.version, files, example)
        client.set_model_version_tag(name, created.version, "ganrnn.loaded_back", "true")
        undo.pop_all()
    client.finalize_logged_model(logged.model_id, entities.LoggedModelStatus.READY)
    client.log_outputs(run_id, [entities.LoggedModelOutput(logged.model_id, step=description.step)])
    now = time.time_ns() // 1_000_000
    values = [
        entities.Metric(key, float(v), now, description.step, model_id=logged.model_id) for key, v in metrics.items()
    ]
    client.log_batch(run_id, metrics=values)
    return _version(client.get_model_version(name, created.version))


def find_version(tracking: TrackingConfig, name: str, tags: Mapping[str, str]) -> RegisteredVersion | None:
    """The newest version that was loaded back after registration and carries all these tags."""
    client = client_of(tracking.tracking_uri)
    wanted = all_tags({**tags, "ganrnn.loaded_back": "true"})
    versions = client.search_model_versions(f"name = '{name}' and {wanted}")
    return _version(max(versions, key=lambda version: int(version.version))) if versions else None


def find_alias(tracking: TrackingConfig, name: str, alias: str) -> RegisteredVersion | None:
    """The version that carries an alias."""
    client = client_of(tracking.tracking_uri)
    version = _aliases(client, name).get(alias)
    return None if version is None else _version(client.get_model_version(name, version))


def set_alias(tracking: TrackingConfig, name: str, alias: str, version: str) -> None:
    """Move an alias to a version, in one call."""
    client_of(tracking.tracking_uri).set_registered_model_alias(name, alias, version)


def drop_alias(tracking: TrackingConfig, name: str, alias: str, version: str) -> None:
    """Take an alias from a version; one that another version carries stays."""
    client = client_of(tracking.tracking_uri)
    if _aliases(client, name).get(alias) == version:
        client.delete_registered_model_alias(name, alias)


def download_model(tracking: TrackingConfig, uri: str, directory: Path, files: Sequence[str] = SAMPLER_FILES) -> Path:
    """Copy files of models:/NAME@ALIAS or models:/NAME/VERSION into `directory`.

    Raises BadInput that names what the registry holds when the name, alias or version is unknown.
    """
    match = MODEL_URI.fullmatch(uri)
    if not match:
        raise BadInput(f"{uri} is no model URI; allowed are models:/NAME@ALIAS and models:/NAME/VERSION")
    client = client_of(tracking.tracking_uri)
    location = _location(client, match["name"], _known_version(client, uri, **match.groupdict()))
    for file in files:
        try:
            mlflow.artifacts.download_artifacts(
                f"{location}/artifacts/{file}", dst_path=str(directory), tracking_uri=literal_uri(tracking.tracking_uri)
            )
        except (MlflowException, OSError) as error:
            raise BadInput(f"{uri} cannot be read: no {file} at {location} ({first_line(error)})") from error
    return directory


def _create_registered_model(client: mlflow.MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise BadInput(f"promote.registered_model {name!r} is refused: {first_line(error)}") from error
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(entity: Any) -> RegisteredVersion:
    return RegisteredVersion(str(entity.version), entity.run_id, dict(entity.tags))


def _aliases(client: mlflow.MlflowClient, name: str) -> dict[str, str]:
    """Alias -> version; empty where the model does not exist."""
    try:
        return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def _known_version(client: mlflow.MlflowClient, uri: str, name: str, alias: str | None, version: str | None) -> str:
    versions = [str(entity.version) for entity in client.search_model_versions(f"name = '{name}'")]
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


def _save(target: Path, model_folder: Path, flavour: Model, output: PlainOutput, example: Mapping[str, Any]) -> None:
    optional = [*_OPTIONAL, *(_DECODING if output.reads_decoding else ())]
    mlflow.pyfunc.save_model(
        path=str(target),
        python_model=str(Path(__file__).with_name("registered_model.py")),
        artifacts={file: str(model_folder / file) for file in SAMPLER_FILES},
        code_paths=[str(Path(ganrnn.__file__).parent)],
        signature=ModelSignature(
            Schema([*(ColSpec(KINDS[column], column) for column in example), *optional]),
            Schema([ColSpec(output.signature_type, output.column)]),
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
    location = _location(client_of(tracking.tracking_uri), name, version)
    seed, sample_id = 1, "loaded-back"
    import_path = list(sys.path)
    with tempfile.TemporaryDirectory() as scratch:
        folder = mlflow.artifacts.download_artifacts(
            location, dst_path=scratch, tracking_uri=literal_uri(tracking.tracking_uri)
        )
        try:
            rows = frame(example, seed=seed, sample_id=sample_id)
            registered = mlflow.pyfunc.load_model(folder).predict(rows).iloc[0, 0]
        finally:
            # load_model puts the version's copy of ganrnn in front; its folder is about to go.
            sys.path[:] = import_path
    columns = {"prompt_id": [sample_id]} | {column: [value] for column, value in example.items()}
    task = load_sampler(files)
    (expected,) = plain_output(task).plain(task.sample(columns, [(seed, sample_id)]))
    if registered != expected:
        raise RuntimeError(f"models:/{name}/{version} does not sample what its checkpoint samples; it was deleted")
