"""`generate` with prompts, model and samples on an S3 server beside the same on the local disk.

The server is Debian's Ceph gateway (tests/stack/ceph.py), on this machine: it takes CPU from the workers.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from pipelines import storage
from tests.benchmarks.at_scale.scale_sizes import ScaleSizes
from tests.benchmarks.record import Figure, digits, ratio_figure
from tests.benchmarks.workspace import RECIPE, Workspace
from tests.stack.ceph import CephGateway


def measure(workspace: Workspace, sizes: ScaleSizes) -> list[Figure]:
    """Both in turn, with one worker, and the same files compared."""
    model_uri, prompts_uri = workspace.write_model(), workspace.write_prompts(sizes.s3_prompts)
    seconds: dict[str, list[float]] = {"local": [], "s3": []}
    with ExitStack() as stack:
        gateway = stack.enter_context(CephGateway(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        stack.enter_context(mock.patch.dict(os.environ, gateway.environment()))
        gateway.create_bucket("scale")
        for name in ("checkpoint.json", "sampler.safetensors"):
            storage.commit_bytes(f"s3://scale/model/{name}", storage.read_bytes(f"{model_uri}/{name}"))
        storage.commit_bytes("s3://scale/prompts.parquet", storage.read_bytes(prompts_uri))
        for repeat in range(sizes.s3_repeats):
            local, remote = str(workspace.folder / f"samples-{repeat}"), f"s3://scale/samples-{repeat}"
            seconds["local"].append(_run(workspace, model_uri, prompts_uri, local))
            seconds["s3"].append(_run(workspace, "s3://scale/model", "s3://scale/prompts.parquet", remote))
            print(f"  local {seconds['local'][-1]:.1f} s, s3 {seconds['s3'][-1]:.1f} s", flush=True)
            for shard in storage.read_json(f"{local}/manifest.json")["shards"]:
                assert storage.file_digest(f"{remote}/{shard['uri']}") == shard["sha256"]
    ratios = [local / remote for local, remote in zip(seconds["local"], seconds["s3"], strict=True)]
    return [
        ratio_figure(
            "s3_vs_local",
            ratios,
            "rows/s with model, prompts and samples on a Ceph gateway of this machine by those on its disk; whole "
            "commands, one worker, the same bytes",
            {"seconds": {n: [digits(s) for s in held] for n, held in seconds.items()}, "num_rows": sizes.s3_prompts},
        )
    ]


def _run(workspace: Workspace, model_uri: str, prompts_uri: str, samples_uri: str) -> float:
    return workspace.run(
        ["-m", "jobs", "generate", RECIPE],
        workspace.overrides(
            f"generate.model_uri={model_uri}",
            f"generate.prompts_uri={prompts_uri}",
            f"generate.samples_uri={samples_uri}",
            "generate.sampling.num_workers=1",
        ),
    )
