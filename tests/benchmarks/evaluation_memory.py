"""Peak memory of statistics that merge, of a million rows of features against a tenth of them: it has to stay flat.

    PYTHONPATH=. python tests/benchmarks/evaluation_memory.py NUM_ROWS      one side, prints its peak in MiB

Each block is drawn by its number when the merge asks for it, and goes through bytes as it does between workers. What
is measured is the statistics: `evaluate` itself holds the partials of all blocks until the last has come.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from record import ROOT, Figure, digits

from ganrnn.metrics.frechet import frechet_distance
from ganrnn.metrics.kid import FeatureSubset
from ganrnn.metrics.moments import Moments
from ganrnn.metrics.partials import merge_in_order

WIDTH, BLOCK_ROWS, KEPT_ROWS = 256, 2_000, 10_000
FEW_ROWS, MANY_ROWS = 100_000, 1_000_000


@dataclass(frozen=True)
class Partial:
    """What `evaluate` keeps of a block's features."""

    moments: Moments
    subset: FeatureSubset

    def merge(self, other: "Partial") -> "Partial":
        return Partial(self.moments.merge(other.moments), self.subset.merge(other.subset))


class Blocks(Mapping[str, Partial]):
    """Partials by name, none of which is there before it is asked for."""

    def __init__(self, num_rows: int) -> None:
        self.names = {f"samples/{index:08d}": index for index in range(num_rows // BLOCK_ROWS)}

    def __getitem__(self, name: str) -> Partial:
        generator = np.random.Generator(np.random.Philox(key=self.names[name]))
        features = generator.standard_normal((BLOCK_ROWS, WIDTH), np.float32)
        ids = [f"{name}/{row}" for row in range(BLOCK_ROWS)]
        return Partial(
            Moments.from_bytes(Moments.from_features(features).to_bytes()),
            FeatureSubset.from_bytes(FeatureSubset.from_features(features, ids, KEPT_ROWS).to_bytes()),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


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
    whole = merge_in_order(Blocks(int(sys.argv[1])))
    assert whole.moments.count == int(sys.argv[1]) and len(whole.subset.sample_ids) == KEPT_ROWS
    own = Moments.from_features(whole.subset.features)
    assert 0 < frechet_distance(own, whole.moments) < 10
    # Not what getrusage says, which begins with the memory of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024)
