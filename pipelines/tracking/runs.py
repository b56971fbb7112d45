"""MLflow: runs with their data set inputs, metrics and files.

    run_id = start_run(recipe.tracking, "train", recipe.as_dict(), identity, {"train": (uri, digest)}, {})
    log_metrics(recipe.tracking, run_id, {"loss_g": 0.7}, step=25)
    finish_run(recipe.tracking, run_id, "FINISHED")

Only this file, registry.py (model versions) and registered_model.py (the code that MLflow stores with a version)
import mlflow. Every function takes the
TrackingConfig and asks its server or database; nothing global is set. Credentials come from MLFLOW_TRACKING_USERNAME
and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN.
"""

import functools
import json
import logging
import math
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import mlflow
from mlflow import entities
from mlflow.exceptions import MlflowException
from mlflow.utils import validation as limits
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ganrnn.errors import BadInput, TryAgain
from pipelines.code_revision import code_revision
from pipelines.config.tracking import TrackingConfig
from pipelines.flat import flat

for _name in ("alembic", "mlflow"):
    logging.getLogger(_name).setLevel(logging.WARNING)

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

_ERRNO = re.compile(r"\[Errno -?\d+\] [\w ]+")  # at the end of what requests and urllib3 say
_SEARCH = "/api/2.0/mlflow/experiments/search"
# What follows the path of a database: no folder, and each option has a name.
_OPTIONS = re.compile(r"\?[A-Za-z_]\w*=[^/?%]*$")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


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
    client = client_of(tracking.tracking_uri)
    experiment_id = _experiment(client, tracking)
    runs = client.search_runs([experiment_id], all_tags({"ganrnn.verb": verb, "ganrnn.identity": identity}))
    unfinished = [run for run in runs if run.info.status != "FINISHED"]
    if unfinished:
        run = unfinished[0]
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        run = client.create_run(experiment_id, run_name=f"{verb}-{identity[:8]}")
    run_id: str = run.info.run_id
    params, known = _params(recipe), run.data.params
    changed = {f"ganrnn.changed.{k}": v for k, v in params.items() if k in known and known[k] != v}
    run_tags = {
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
    client.log_batch(run_id, tags=[entities.RunTag(k, v[: limits.MAX_TAG_VAL_LENGTH]) for k, v in run_tags.items()])
    if datasets:
        client.log_inputs(run_id, [_dataset_input(name, uri, digest) for name, (uri, digest) in datasets.items()])
    return run_id


def find_run(tracking: TrackingConfig, verb: str, tags: Mapping[str, str]) -> str | None:
    """The newest run of a verb that carries all these tags."""
    client = client_of(tracking.tracking_uri)
    runs = client.search_runs([_experiment(client, tracking)], all_tags({**tags, "ganrnn.verb": verb}), max_results=1)
    return runs[0].info.run_id if runs else None


def log_metrics(tracking: TrackingConfig, run_id: str, metrics: Mapping[str, float], step: int) -> None:
    """Log numbers at a step. NaN and infinities, which databases refuse, are counted as metric `nonfinite` instead."""
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    if len(finite) < len(metrics):
        finite["nonfinite"] = float(len(metrics) - len(finite))
    now = time.time_ns() // 1_000_000
    client_of(tracking.tracking_uri).log_batch(
        run_id, metrics=[entities.Metric(k, v, now, step) for k, v in finite.items()]
    )


def metric_history(tracking: TrackingConfig, run_id: str, name: str) -> list[tuple[int, float]]:
    """A metric of a run as (step, value) by step, the last value where a step was logged more than once."""
    points = client_of(tracking.tracking_uri).get_metric_history(run_id, name)
    by_step = {point.step: point.value for point in sorted(points, key=lambda point: point.timestamp)}
    return sorted(by_step.items())


def log_file(tracking: TrackingConfig, run_id: str, content: Path | bytes, artifact_path: str) -> None:
    """Log a file, or bytes, as an artifact, for example "samples/step-1000.png"."""
    folder, _, name = artifact_path.rpartition("/")
    data = content if isinstance(content, bytes) else content.read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / name).write_bytes(data)
        client_of(tracking.tracking_uri).log_artifact(run_id, f"{scratch}/{name}", folder or None)


def file_names(tracking: TrackingConfig, run_id: str, folder: str) -> list[str]:
    """The files directly in a folder of a run's artifacts, without the folder."""
    files = client_of(tracking.tracking_uri).list_artifacts(run_id, folder)
    return sorted(Path(file.path).name for file in files if not file.is_dir)


def read_file(tracking: TrackingConfig, run_id: str, artifact_path: str) -> bytes:
    """The content of an artifact."""
    with tempfile.TemporaryDirectory() as scratch:
        place = client_of(tracking.tracking_uri).download_artifacts(run_id, artifact_path, scratch)
        return Path(place).read_bytes()


def finish_run(tracking: TrackingConfig, run_id: str, status: RunStatus) -> None:
    """Close a run."""
    client_of(tracking.tracking_uri).set_terminated(run_id, status)


@functools.lru_cache
def client_of(tracking_uri: str) -> mlflow.MlflowClient:
    """A client whose server or database has answered once; BadInput if it does not answer."""
    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        _require_answer(tracking_uri)
        client = mlflow.MlflowClient(literal_uri(tracking_uri), literal_uri(tracking_uri))
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise BadInput(
            f"tracking.tracking_uri {_PASSWORD.sub('***@', tracking_uri)} cannot be used ({first_line(error)}); "
            "allowed are sqlite:///FILE, postgresql+psycopg2://HOST/DATABASE and the http(s):// address of a server"
        ) from error
    return client


def _require_answer(tracking_uri: str) -> None:
    """Ask a server or a PostgreSQL database once, since MLflow asks again for many minutes.

    Raises TryAgain where it does not answer, and BadInput where it wants another password.
    """
    shown = _PASSWORD.sub("***@", tracking_uri)
    if tracking_uri.startswith(("http://", "https://")):
        try:
            credentials = get_default_host_creds(tracking_uri)
            answer = http_request(
                credentials, _SEARCH, "POST", max_retries=0, timeout=10, raise_on_status=False, json={"max_results": 1}
            )
        except MlflowException as error:
            reason = (_ERRNO.findall(str(error)) or [first_line(error)])[-1]
            raise TryAgain(f"tracking.tracking_uri {shown} does not answer ({reason}); start the server") from error
        if answer.status_code in (401, 403):
            raise BadInput(
                f"tracking.tracking_uri {shown} refuses the credentials (status {answer.status_code}); set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        if answer.status_code >= 500:
            raise TryAgain(f"tracking.tracking_uri {shown} fails with status {answer.status_code}; try again later")
    elif tracking_uri.startswith("postgresql"):
        try:
            create_engine(tracking_uri, connect_args={"connect_timeout": 10}).connect().close()
        except OperationalError as error:
            what = f"tracking.tracking_uri {shown} cannot be reached ({first_line(error)})"
            if "authentication" in str(error) or "password" in str(error):
                raise BadInput(f"{what}; correct its user and password") from error
            raise TryAgain(f"{what}; start the database") from error


def literal_uri(tracking_uri: str) -> str:
    """A tracking URI as SQLAlchemy reads it: % and ? of an SQLite path escaped, options such as ?timeout=9 kept."""
    if not tracking_uri.startswith("sqlite:///"):
        return tracking_uri
    options = _OPTIONS.search(tracking_uri)
    path = tracking_uri[: options.start()] if options else tracking_uri
    escaped = path.replace("%", "%25").replace("?", "%3F")
    if escaped != path:
        # Of sqlite:///PATH, MLflow makes the folder without decoding its name.
        escaped = escaped.replace("sqlite:", "sqlite+pysqlite:", 1)
    return escaped + tracking_uri[len(path) :]


def literal_folder(artifact_uri: str) -> str:
    """A folder of artifacts as MLflow reads it, which decodes % in a path."""
    return Path(artifact_uri).as_uri() if artifact_uri.startswith("/") and "%" in artifact_uri else artifact_uri


def require_experiment(tracking: TrackingConfig) -> None:
    """Ask whether the store answers and has the experiment or can get it; BadInput where it was deleted."""
    experiment = client_of(tracking.tracking_uri).get_experiment_by_name(tracking.experiment)
    if experiment is not None:
        _require_active(experiment, tracking)


def _require_active(experiment: entities.Experiment, tracking: TrackingConfig) -> None:
    if experiment.lifecycle_stage != "active":
        raise BadInput(f"tracking.experiment {tracking.experiment!r} was deleted; restore it or choose another name")


def _experiment(client: mlflow.MlflowClient, tracking: TrackingConfig) -> str:
    experiment = client.get_experiment_by_name(tracking.experiment)
    if experiment is None:
        # A server has a place for artifacts; without one MLflow would write them to the working directory.
        served = tracking.tracking_uri.startswith(("http://", "https://"))
        folder = None if served else literal_folder(tracking.artifact_uri)
        try:
            return str(client.create_experiment(tracking.experiment, folder))
        except MlflowException as error:
            experiment = client.get_experiment_by_name(tracking.experiment)
            if experiment is None:
                raise BadInput(
                    f"tracking.experiment {tracking.experiment!r} is refused: {first_line(error)}"
                ) from error
    _require_active(experiment, tracking)
    return str(experiment.experiment_id)


def _dataset_input(name: str, uri: str, digest: str) -> entities.DatasetInput:
    source = json.dumps({"uri": uri, "digest": digest})
    scheme = "s3" if uri.startswith("s3://") else "local"
    dataset = entities.Dataset(name, digest[: limits.MAX_DATASET_DIGEST_SIZE], scheme, source)
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", name)])


def _params(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Nested values as "a.b" -> text, cut at MLflow's limits, passwords in URIs left out."""
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in flat(recipe).items()
    }
    return {
        name[: limits.MAX_ENTITY_KEY_LENGTH]: _PASSWORD.sub("***@", text)[: limits.MAX_PARAM_VAL_LENGTH]
        for name, text in texts.items()
    }


def all_tags(tags: Mapping[str, str]) -> str:
    """A search filter; values are digests, names of verbs and booleans, without quotes."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def first_line(error: Exception) -> str:
    return _PASSWORD.sub("***@", (str(error).strip().splitlines() or [type(error).__name__])[0])[:300]
