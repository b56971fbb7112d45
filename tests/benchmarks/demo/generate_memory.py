"""Peak memory of `generate` for many prompts against few: it has to stay flat, whatever the length of the job."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.record import Figure, digits, ratio_figure
from tests.benchmarks.workspace import RECIPE, Workspace

SECONDS_BETWEEN = 0.1


def measure(workspace: Workspace) -> list[Figure]:
    """The peak of both job lengths in turn."""
    sizes = workspace.sizes
    model_uri = workspace.write_model()
    prompts = {num: workspace.write_prompts(num) for num in (sizes.few_prompts, sizes.many_prompts)}
    peaks: dict[int, list[int]] = {num: [] for num in prompts}
    for _ in range(sizes.memory_repeats):
        for num, prompts_uri in prompts.items():
            peaks[num].append(_peak_bytes(workspace, model_uri, prompts_uri))
            print(f"  {num:>6} prompts {peaks[num][-1] / 2**20:7.1f} MiB", flush=True)
    ratios = [many / few for few, many in zip(*peaks.values(), strict=True)]
    details = {
        "peak_mib": {str(num): [digits(peak / 2**20) for peak in held] for num, held in peaks.items()},
        "shard_rows": sizes.shard_rows,
        "num_workers": workspace.recipe().generate.sampling.num_workers,
    }
    meaning = (
        f"peak memory of `ganrnn generate` for {sizes.many_prompts} prompts by that for {sizes.few_prompts}: "
        "proportional set size of the driver and all its descendants, Ray's own processes among them, "
        f"looked at every {SECONDS_BETWEEN} s"
    )
    return [ratio_figure("generate_memory_20k_vs_2k", ratios, meaning, details)]


def _peak_bytes(workspace: Workspace, model_uri: str, prompts_uri: str) -> int:
    samples = workspace.folder / "memory"
    overrides = workspace.overrides(
        f"generate.model_uri={model_uri}",
        f"generate.prompts_uri={prompts_uri}",
        f"generate.samples_uri={samples}",
        f"generate.sampling.shard_rows={workspace.sizes.shard_rows}",
    )
    peak, _ = watched(workspace, overrides, tree_bytes)
    shutil.rmtree(samples)
    return peak


def watched(workspace: Workspace, overrides: Sequence[str], held_bytes: Callable[[int], int]) -> tuple[int, float]:
    """Run `ganrnn generate`; the most that `held_bytes` says of its process id, and the seconds it took."""
    started = time.monotonic()
    process = workspace.start(["-m", "jobs", "generate", RECIPE], overrides)
    output: list[bytes] = []
    assert process.stdout is not None
    # Somebody has to read what it prints, or it stops at a full pipe.
    reader = threading.Thread(target=lambda stream: output.append(stream.read()), args=(process.stdout,))
    reader.start()
    peak = 0
    while process.poll() is None:
        peak = max(peak, held_bytes(process.pid))
        time.sleep(SECONDS_BETWEEN)
    reader.join()
    workspace.check(process, b"".join(output))
    return peak, time.monotonic() - started


def tree_bytes(pid: int) -> int:
    """Memory of a process and all its descendants; pages that they share count once."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _read(folder / "stat"):
            # The name in brackets may hold anything; the parent is the second field after it.
            children.setdefault(int(fields.rsplit(")", 1)[1].split()[1]), []).append(int(folder.name))
    total, found = 0, [pid]
    while found:
        current = found.pop()
        found += children.get(current, [])
        total += process_bytes(current)
    return total


def process_bytes(pid: int) -> int:
    """Proportional set size; resident set size where the kernel does not tell the former."""
    folder = Path(f"/proc/{pid}")
    lines = (_read(folder / "smaps_rollup") or _read(folder / "status")).splitlines()
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss:", "VmRSS:"))]
    return sizes[0] if sizes else 0


def _read(path: Path) -> str:
    """A file below /proc; empty where its process has just ended or may not be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
