"""Whole verbs with every URI on the Ceph gateway: the bytes of the disk, through a kill too."""

from pathlib import Path

import pytest

from pipelines import storage
from tests.pipelines import tiny
from tests.pipelines.generate.samples import prompts_of, write
from tests.pipelines.tiny import run_on
from tests.stack.ceph import CephGateway

NUM_PROMPTS = 600
pytestmark = pytest.mark.slow("commands with a Ray of their own on a Ceph gateway")


def test_a_night_and_a_killed_generation(bucket: str, tmp_path: Path) -> None:
    run = run_on(bucket, tmp_path)
    night = tiny.run(run.command("nightly"))
    assert night.returncode == 0, night.stderr[-2000:]
    assert storage.exists(f"{bucket}/run/report.html")

    local = write(tmp_path / "prompts.parquet", prompts_of(NUM_PROMPTS))
    storage.commit_bytes(f"{bucket}/prompts.parquet", Path(local).read_bytes())
    cut = ("generate.sampling.shard_rows=5",)
    remote = (*cut, f"generate.prompts_uri={bucket}/prompts.parquet", f"generate.samples_uri={bucket}/samples")
    with tiny.started(run.command("generate", *remote)) as process:
        tiny.wait_until(lambda: len(storage.list_files(f"{bucket}/samples", ".parquet")) > 3, "shards", process)
        tiny.kill(process)
    assert not storage.exists(f"{bucket}/samples/manifest.json")
    resumed = tiny.run(run.command("generate", *remote))
    assert resumed.returncode == 0, resumed.stderr[-2000:]

    quiet = (*cut, f"generate.prompts_uri={local}", f"generate.samples_uri={tmp_path}/samples")
    assert tiny.run(run.command("generate", *quiet)).returncode == 0
    shards = storage.read_json(f"{tmp_path}/samples/manifest.json")["shards"]
    assert shards == storage.read_json(f"{bucket}/samples/manifest.json")["shards"]
    for shard in shards:
        assert storage.file_digest(f"{bucket}/samples/{shard['uri']}") == shard["sha256"]
    there = {storage.relative(uri, f"{bucket}/samples") for uri in storage.list_files(f"{bucket}/samples")}
    assert there == {shard["uri"] for shard in shards} | {"manifest.json", "plan.json", "rejects.parquet"}


def test_a_training_on_a_full_store_says_so_and_goes_on_once_there_is_room(
    ceph: CephGateway, bucket: str, tmp_path: Path
) -> None:
    run = run_on(bucket, tmp_path)
    assert tiny.run(run.command("ingest")).returncode == 0
    used = sum(-(-file.num_bytes // 4096) * 4096 for file in storage.stat_files(bucket).values())
    ceph.set_quota(bucket.removeprefix("s3://"), used + 32_768)  # room for notes, not for a checkpoint
    full = tiny.run(run.command("train"))
    assert full.returncode == 2, full.stderr[-2000:]
    last = full.stderr.splitlines()[-1]
    assert last.startswith(f"ganrnn: {bucket}/run/checkpoints/step-00000020/") and "QuotaExceeded" in last
    assert not storage.exists(f"{bucket}/run/checkpoints/step-00000020/checkpoint.json")
    ceph.remove_quota(bucket.removeprefix("s3://"))
    assert tiny.run(run.command("train")).returncode == 0
    assert storage.exists(f"{bucket}/run/checkpoints/step-{tiny.NUM_STEPS:08d}/checkpoint.json")
