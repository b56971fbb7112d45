"""A billion rows through the planner and the manifest alone, in steps of ten: time and memory have to grow in line.

The prompt files are not read here (a million rows really are in scale_million.py): what is measured is what the driver
holds and does for the shards of a job, from the list of files to the manifest of all shards.
"""

import json
import subprocess
import sys
from typing import Any

from tests.benchmarks.at_scale.scale_sizes import ScaleSizes
from tests.benchmarks.record import ROOT, Figure, digits
from tests.benchmarks.workspace import Workspace

STEP = """
import json, resource, sys, time
from pipelines import storage
from pipelines.prompts import PromptSet
from pipelines.schemas import manifest
from pipelines.shards import Output, Work
from pipelines.config.sampling import SamplingConfig
from pipelines.generate import _items
rows, file_rows, shard_rows, folder = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.monotonic()
files = rows // file_rows
uris = tuple(f"s3://bucket/prompts/{i:06d}.parquet" for i in range(files))
output = Output(folder, PromptSet(uris, (file_rows,) * files, shard_rows, "d" * 64), "m" * 64, 0, "float32", None)
items = _items(Work({}, SamplingConfig(), (output,)))
shards = output.prompt_set.num_shards
parts = sum(len(output.prompt_set.shard(index).parts) for index in range(shards))
planned = time.monotonic()
receipts = {i: {"rows": shard_rows, "bytes": 10**6, "sha256": f"{i:064x}", "rejects": {}} for i in range(shards)}
listed = [
    {"uri": output.shard_name(i), **{n: r[n] for n in ("rows", "bytes", "sha256")}}
    for i, r in receipts.items()
]
whole = manifest("generate", inputs=output.plan, config={}, shards=listed, totals={}, model_digest="m" * 64)
storage.commit_json(f"{folder}/manifest.json", whole)
written = time.monotonic()
assert len(storage.read_json(f"{folder}/manifest.json")["shards"]) == shards
read = time.monotonic()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "rows": rows, "shards": shards, "tasks": len(items), "plan_seconds": planned - start,
    "manifest_seconds": written - planned, "read_seconds": read - written, "memory_mib": (peak - before) / 1024,
}))
"""


def measure(workspace: Workspace, sizes: ScaleSizes) -> list[Figure]:
    """Each size in a process of its own."""
    steps: list[dict[str, Any]] = []
    for rows in (sizes.planned_rows // 100, sizes.planned_rows // 10, sizes.planned_rows):
        words = [str(rows), str(sizes.planned_file_rows), str(sizes.planned_shard_rows), str(workspace.folder)]
        done = subprocess.run(
            [sys.executable, "-c", STEP, *words], cwd=ROOT, check=True, capture_output=True, text=True
        )
        step = {name: digits(value) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}
        print("  " + ", ".join(f"{name} {value:g}" for name, value in step.items()), flush=True)
        steps.append(step)
    meaning = (
        "rows whose shards were planned, given to tasks and listed in a manifest that was written and read back; "
        "memory is what this adds to the peak of the process"
    )
    return [Figure("planned_rows_max", float(sizes.planned_rows), {"meaning": meaning, "steps": steps})]
