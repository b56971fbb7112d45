"""All verbs with every URI on an S3 server: data set, checkpoints, samples, report, artifacts."""

from pathlib import Path

import pytest

from pipelines import storage
from tests.pipelines import tiny
from tests.pipelines.tiny import Run, run_on

pytestmark = pytest.mark.slow("commands with a Ray of their own")


def test_a_night_on_s3(s3_bucket: str, tmp_path: Path) -> None:
    run = run_on(s3_bucket, tmp_path)
    done = tiny.run(run.command("nightly"))
    assert done.returncode == 0, done.stderr[-2000:]
    place = f"{s3_bucket}/run"
    for name in ("dataset/manifest.json", "samples/manifest.json", "report.json", "report.html", "contact_sheet.png"):
        assert storage.exists(f"{place}/{name}"), name
    assert storage.exists(f"{place}/checkpoints/step-{tiny.NUM_STEPS:08d}/checkpoint.json")
    for shard in storage.read_json(f"{place}/samples/manifest.json")["shards"]:
        assert storage.file_digest(f"{place}/samples/{shard['uri']}") == shard["sha256"]
    artifacts = storage.list_files(f"{s3_bucket}/artifacts")
    assert any(uri.endswith("sampler.safetensors") for uri in artifacts)
    assert any("samples/step-" in uri for uri in artifacts)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", "mlflow.db"}
    # The registered model, from the server's artifacts, makes the same samples; again on the disk, the same files.
    again = tiny.run(
        run.command(
            "generate",
            "generate.model_uri=models:/far/1",
            f"generate.samples_uri={tmp_path}/samples",
        )
    )
    assert again.returncode == 0, again.stderr[-2000:]
    for shard in storage.read_json(f"{tmp_path}/samples/manifest.json")["shards"]:
        assert storage.file_digest(f"{place}/samples/{shard['uri']}") == shard["sha256"]


@pytest.mark.parametrize("verb", ["ingest", "generate"])
def test_a_bucket_that_is_not_there_is_one_sentence(verb: str, s3_bucket: str, trained: Run, tmp_path: Path) -> None:
    uri = {"ingest": "ingest.dataset_uri", "generate": "generate.samples_uri"}[verb]
    done = tiny.run(
        trained.command(verb, f"{uri}=s3://no-such-bucket/x", f"generate.model_uri={trained.folder}/checkpoints")
    )
    assert done.returncode == 2 and "s3://no-such-bucket/x" in done.stderr.splitlines()[-1], done.stderr[-2000:]
