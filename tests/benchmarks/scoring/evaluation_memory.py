"""Peak memory of statistics that merge, of a million rows of features against a tenth of them: it has to stay flat.

    PYTHONPATH=. python tests/benchmarks/scoring/evaluation_memory.py NUM_ROWS      one side, prints its peak in MiB

Blocks are drawn by their numbers and come to what `evaluate` adds them up with (pipelines/evaluate/images/collector.py)
as they come from its workers, some of them before their turn.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ganrnn.metrics.images.frechet import frechet_distance
from ganrnn.metrics.statistics.moments import Moments
from pipelines.evaluate.images.block_result import BlockResult, ExtractedFeatures
from pipelines.evaluate.images.collector import Collector
from pipelines.evaluate.images.set_statistics import IN_DOMAIN
from tests.benchmarks.record import ROOT, Figure, digits

WIDTH, BLOCK_ROWS, KEPT_ROWS = 256, 2_000, 10_000
FEW_ROWS, MANY_ROWS = 100_000, 1_000_000


def block(index: int) -> BlockResult:
    """The result of a block."""
    generator = np.random.Generator(np.random.Philox(key=index))
    features = ExtractedFeatures(generator.standard_normal((BLOCK_ROWS, WIDTH), np.float32), None)
    return BlockResult("samples", index, [f"{index}/{row}" for row in range(BLOCK_ROWS)], {IN_DOMAIN: features})


def merged_memory() -> list[Figure]:
    """Both numbers of rows, each in a process of its own."""
    peaks, seconds = dict[str, float](), dict[str, float]()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    for num_rows in (FEW_ROWS, MANY_ROWS):
        began = time.monotonic()
        command = [sys.executable, __file__, str(num_rows)]
        made = subprocess.run(command, cwd=ROOT, env=os.environ | threads, check=True, capture_output=True, text=True)
        peaks[str(num_rows)], seconds[str(num_rows)] = float(made.stdout), digits(time.monotonic() - began)
        print(f"  {num_rows:>9,} rows {peaks[str(num_rows)]:7.1f} MiB", flush=True)
    details = {
        "meaning": f"peak resident memory of merging {MANY_ROWS:,} rows of features by that of {FEW_ROWS:,}",
        "peak_mib": peaks,
        "seconds": seconds,
        "width": WIDTH,
        "block_rows": BLOCK_ROWS,
        "kept_rows": KEPT_ROWS,
    }
    return [Figure("million_rows_peak_ratio", digits(peaks[str(MANY_ROWS)] / peaks[str(FEW_ROWS)]), details)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    collected, num_blocks = Collector(["samples"], KEPT_ROWS), int(sys.argv[1]) // BLOCK_ROWS
    for first in range(0, num_blocks, 2):  # every second one is early
        for index in (first + 1, first):
            collected.add(block(index))
    collected.finish()
    whole = collected.sets["samples"].features[IN_DOMAIN]
    assert whole.moments.count == int(sys.argv[1]) and len(whole.subset.sample_ids) == KEPT_ROWS
    own = Moments.from_features(whole.subset.features)
    assert 0 < frechet_distance(own, whole.moments) < 10
    # Not what getrusage says, which begins with the memory of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024)
