"""A million real prompt rows: planned, generated, resumed when nine tenths are done, verified; the driver's memory."""

import shutil
import time
from pathlib import Path

from pipelines.formats import prompts
from tests.benchmarks.at_scale.scale_sizes import TINY_TASK, ScaleSizes
from tests.benchmarks.demo.generate_memory import process_bytes, watched
from tests.benchmarks.record import Figure, digits, ratio_figure
from tests.benchmarks.workspace import RECIPE, Workspace

_WHOLE = "whole commands, model of 6,700 weights, one worker"


def measure(workspace: Workspace, sizes: ScaleSizes) -> list[Figure]:
    """Few rows and many, one worker; then a tenth of the many again."""
    model_uri = workspace.write_model(*TINY_TASK)
    peaks, seconds = {}, {}
    for num in (sizes.few_prompts, sizes.many_prompts):
        prompts_uri = workspace.write_prompts(num)
        planning = time.monotonic()
        prompts.plan([prompts_uri], ["prompt"], sizes.many_shard_rows, 0)
        planning = time.monotonic() - planning
        settings = _settings(workspace, sizes, model_uri, prompts_uri, f"samples-{num}")
        peaks[num], seconds[num] = watched(workspace, settings, process_bytes)
        print(f"  {num:>8} rows: {seconds[num]:.1f} s, driver {peaks[num] / 2**20:.0f} MiB", flush=True)
    folder = workspace.folder / f"samples-{sizes.many_prompts}"
    resumed_peak, resumed = resume_last_tenth(workspace, folder, settings)
    verified = workspace.run(["-m", "jobs", "generate", RECIPE, "--verify"], settings)
    print(f"  verified, a hundredth made again: {verified:.1f} s", flush=True)
    shutil.rmtree(folder)
    rows = sizes.many_prompts
    details = {
        "num_rows": rows,
        "shard_rows": sizes.many_shard_rows,
        "plan_rows_per_second": digits(rows / planning),
        "generate_rows_per_second": digits(rows / seconds[rows]),
        "verify_rows_per_second": digits(rows / verified),
        "full_seconds": digits(seconds[rows]),
        "resume_seconds": digits(resumed),
        "verify_seconds": digits(verified),
        "driver_mib": {str(num): digits(peak / 2**20) for num, peak in peaks.items()},
        "driver_mib_resumed": digits(resumed_peak / 2**20),
    }
    return [
        ratio_figure(
            "memory_1m_vs_10k",
            [peaks[rows] / peaks[sizes.few_prompts]],
            f"peak memory of the driver process for {rows} rows by that for {sizes.few_prompts}; {_WHOLE}",
            details,
        ),
    ]


def measure_resume(workspace: Workspace, sizes: ScaleSizes) -> list[Figure]:
    """A run of many minutes and its resumption: the seconds that Ray takes to start count in both."""
    rows = sizes.resumed_prompts
    settings = _settings(workspace, sizes, workspace.write_model(*TINY_TASK), workspace.write_prompts(rows), "resumed")
    full = workspace.run(["-m", "jobs", "generate", RECIPE], settings)
    print(f"  {rows:>8} rows: {full:.1f} s", flush=True)
    _, resumed = resume_last_tenth(workspace, workspace.folder / "resumed", settings)
    return [
        ratio_figure(
            "resume_90_vs_full",
            [resumed / full],
            f"seconds of a run of which every tenth shard was missing by those of the whole run; {_WHOLE}",
            {"num_rows": rows, "full_seconds": digits(full), "resume_seconds": digits(resumed)},
        )
    ]


def resume_last_tenth(workspace: Workspace, folder: Path, settings: list[str]) -> tuple[float, float]:
    """Peak memory of the driver and seconds of a run again with every tenth shard gone; they come back as they were."""
    shards = sorted(folder.glob("*-*.parquet"))
    before = {path.name: path.read_bytes() for path in shards[::10]}
    for path in (*shards[::10], folder / "manifest.json"):
        path.unlink()
    peak, seconds = watched(workspace, settings, process_bytes)
    assert all((folder / name).read_bytes() == data for name, data in before.items())
    print(f"  resumed with {len(before)} of {len(shards)} shards missing: {seconds:.1f} s", flush=True)
    return peak, seconds


def _settings(workspace: Workspace, sizes: ScaleSizes, model_uri: str, prompts_uri: str, samples: str) -> list[str]:
    return workspace.overrides(
        *TINY_TASK,
        f"generate.model_uri={model_uri}",
        f"generate.prompts_uri={prompts_uri}",
        f"generate.samples_uri={workspace.folder}/{samples}",
        f"generate.sampling.shard_rows={sizes.many_shard_rows}",
        "generate.sampling.num_workers=1",
    )
