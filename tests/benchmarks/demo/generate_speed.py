"""Generation beside a plain loop that writes the same bytes and Ray Data's own writer; two workers beside one."""

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.record import Figure, digits, ratio_figure
from tests.benchmarks.workspace import RECIPE, Workspace

LOOP, WRITER, ONE, TWO = "plain_loop", "ray_write", "one_worker", "two_workers"
NUM_WORKERS = {LOOP: 1, WRITER: 1, ONE: 1, TWO: 2}
COMMANDS = {LOOP: ["tests/benchmarks/demo/plain_loop.py"], WRITER: ["tests/benchmarks/demo/ray_write.py"]}
# Numerator and denominator of each figure, and what is said about it.
VS_LOOP = (ONE, LOOP, "rows/s of `ganrnn generate` with one worker by those of a plain loop")
FIGURES = {
    "ray_generate_vs_loop": VS_LOOP,
    "generate_vs_loop": VS_LOOP,
    "generate_vs_ray_write": (
        ONE,
        WRITER,
        "rows/s of `ganrnn generate` with one worker by those of Ray Data's read_parquet, map_batches and "
        "write_parquet of the same samples, which promise nothing about a second run",
    ),
    "two_workers_vs_one": (TWO, ONE, "rows/s of `ganrnn generate` with two workers by those with one"),
}
END_TO_END = (
    "; whole commands, so that imports, Ray's start, actor start, manifest, MLflow run and shutdown count. "
    "steady_ratios leave these out: they are taken from the times at which shards were committed"
)


@dataclass(frozen=True)
class Timed:
    """One run: its wall-clock time and when each of its shards was committed, in seconds."""

    num_rows: int
    shard_rows: int
    num_workers: int
    seconds: float
    commits: tuple[float, ...]

    @property
    def rows_per_second(self) -> float:
        """Over the whole command."""
        return self.num_rows / self.seconds

    @property
    def steady_rows_per_second(self) -> float:
        """From the moment that every worker may have committed its first shard to the last commit."""
        counted = self.commits[self.num_workers - 1 :]
        return self.shard_rows * (len(counted) - 1) / (counted[-1] - counted[0])


def measure(workspace: Workspace, wanted: set[str]) -> list[Figure]:
    """The wanted ones of FIGURES; runs that two of them share are done once."""
    sides = [side for side in NUM_WORKERS if any(side in FIGURES[name][:2] for name in wanted)]
    model_uri, prompts_uri = workspace.write_model(), workspace.write_prompts(workspace.sizes.speed_prompts)
    runs: dict[str, list[Timed]] = {side: [] for side in sides}
    for _ in range(workspace.sizes.speed_repeats):
        for side in sides:
            timed = _generate(workspace, side, model_uri, prompts_uri)
            print(
                f"  {side:<12} {timed.seconds:6.1f} s {timed.rows_per_second:7.1f} rows/s, "
                f"steady {timed.steady_rows_per_second:7.1f} rows/s",
                flush=True,
            )
            runs[side].append(timed)
        _compare_and_remove(workspace, sides)
    return [_figure(name, runs) for name in FIGURES if name in wanted]


def _generate(workspace: Workspace, side: str, model_uri: str, prompts_uri: str) -> Timed:
    sizes, folder = workspace.sizes, workspace.folder / side
    command = COMMANDS.get(side, ["-m", "jobs", "generate"])
    overrides = workspace.overrides(
        f"generate.model_uri={model_uri}",
        f"generate.prompts_uri={prompts_uri}",
        f"generate.samples_uri={folder}",
        f"generate.sampling.num_workers={NUM_WORKERS[side]}",
        f"generate.sampling.shard_rows={sizes.shard_rows}",
    )
    seconds = workspace.run([*command, RECIPE], overrides)
    commits = tuple(sorted(file.stat().st_mtime for file in _files(folder)))
    return Timed(sizes.speed_prompts, sizes.shard_rows, NUM_WORKERS[side], seconds, commits)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if path.name != "rejects.parquet")


def _compare_and_remove(workspace: Workspace, sides: list[str]) -> None:
    """Every side but Ray Data's own writer has written the same bytes; they are not needed any longer."""
    first, *others = (_files(workspace.folder / side) for side in sides if side != WRITER)
    for other in others:
        assert len(first) == len(other)
        for a, b in zip(first, other, strict=True):
            assert filecmp.cmp(a, b, shallow=False), f"{a} and {b} differ"
    for side in sides:
        shutil.rmtree(workspace.folder / side)


def _figure(name: str, runs: dict[str, list[Timed]]) -> Figure:
    above, below, meaning = FIGURES[name]
    pairs = list(zip(runs[above], runs[below], strict=True))
    steady = [a.steady_rows_per_second / b.steady_rows_per_second for a, b in pairs]
    details: dict[str, Any] = {
        "steady_ratios": [digits(ratio) for ratio in steady],
        "num_rows": pairs[0][0].num_rows,
        "shard_rows": pairs[0][0].shard_rows,
        "equal_bytes": True,
    }
    for side in (above, below):
        details[side] = {
            "seconds": [digits(run.seconds) for run in runs[side]],
            "rows_per_second": [digits(run.rows_per_second) for run in runs[side]],
            "steady_rows_per_second": [digits(run.steady_rows_per_second) for run in runs[side]],
        }
    ratios = [a.rows_per_second / b.rows_per_second for a, b in pairs]
    return ratio_figure(name, ratios, meaning + END_TO_END, details)
