"""All verbs with every URI on an S3 server: data set, checkpoints, samples, report, artifacts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ganrnn.errors import BadInput
from jobs import nightly
from pipelines import storage
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from tests.pipelines import tiny
from tests.pipelines.tiny import Run, run_on

Verb = Callable[..., None]
VERBS = {"nightly": nightly.act, "generate": generate, "ingest": ingest}


def here(run: Run, verb: str, *overrides: str) -> None:
    """A verb in this process."""
    result = VERBS[verb](run.recipe(*overrides))
    assert verb != "nightly" or result == 0


def by_command(run: Run, verb: str, *overrides: str) -> None:
    """A verb as a command with a Ray of its own; its last line as an error where it refuses."""
    done = tiny.run(run.command(verb, *overrides))
    if done.returncode == 2:
        raise BadInput(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "do", [here, pytest.param(by_command, marks=pytest.mark.slow("commands with a Ray of their own"))]
)
def test_a_scheduled_run_on_s3(do: Verb, s3_bucket: str, tmp_path: Path) -> None:
    bucket = f"{s3_bucket}/{do.__name__}"
    run = run_on(bucket, tmp_path)
    do(run, "nightly")
    for name in ("dataset/manifest.json", "samples/manifest.json", "report.json", "report.html", "contact_sheet.png"):
        assert storage.exists(f"{bucket}/run/{name}"), name
    assert storage.exists(f"{bucket}/run/checkpoints/step-{tiny.NUM_STEPS:08d}/checkpoint.json")
    for shard in storage.read_json(f"{bucket}/run/samples/manifest.json")["shards"]:
        assert storage.file_digest(f"{bucket}/run/samples/{shard['uri']}") == shard["sha256"]
    artifacts = storage.list_files(f"{bucket}/artifacts")
    assert any(uri.endswith("sampler.safetensors") for uri in artifacts)
    assert any("samples/step-" in uri for uri in artifacts)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", "mlflow.db"}
    # The registered model, from the server's artifacts, makes the same samples; again on the disk, the same files.
    do(run, "generate", "generate.model_uri=models:/far/1", f"generate.samples_uri={tmp_path}/samples")
    for shard in storage.read_json(f"{tmp_path}/samples/manifest.json")["shards"]:
        assert storage.file_digest(f"{bucket}/run/samples/{shard['uri']}") == shard["sha256"]


@pytest.mark.parametrize(
    "do", [here, pytest.param(by_command, marks=pytest.mark.slow("commands with a Ray of their own"))]
)
@pytest.mark.parametrize("verb", ["ingest", "generate"])
def test_a_bucket_that_is_not_there_is_one_sentence(
    do: Verb, verb: str, s3_bucket: str, trained: Run, tmp_path: Path
) -> None:
    uri = {"ingest": "ingest.dataset_uri", "generate": "generate.samples_uri"}[verb]
    with pytest.raises(BadInput, match="s3://no-such-bucket/x") as refusal:
        do(trained, verb, f"{uri}=s3://no-such-bucket/x", f"generate.model_uri={trained.folder}/checkpoints")
    assert "\n" not in str(refusal.value)
