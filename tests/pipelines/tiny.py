"""A recipe so small that all verbs run in seconds, and verbs in processes of their own that can be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.generate.plan import ShardRange, plan, prompt_files
from pipelines.generate.worker import ShardWriter
from pipelines.ingest.driver import ingest
from tests.pipelines.mlflow_store import store_settings
from tests.pipelines.train.forked import train_forked

ROOT = Path(__file__).parents[2]
HARM = str(ROOT / "tests/pipelines/generate/site")
NUM_STEPS = 60
NUM_TEST = 40
DEADLINE_SECONDS = 900

_RECIPE: dict[str, Any] = {
    "name": "tiny",
    "ingest": {
        "height": 16,
        "width": 16,
        "row_group_rows": 64,
        "shard_rows": 128,
        "scenes": {"num_train": 300, "num_val": NUM_TEST, "num_test": NUM_TEST, "pair_share": 0.1},
    },
    "task": {
        "name": "text_to_image",
        "height": 16,
        "width": 16,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "z_dim": 8,
        "style_dim": 16,
        "feature_dim": 16,
        "base_channels": 4,
        "num_steps": NUM_STEPS,
    },
    "train": {
        "num_workers": 2,
        "global_batch_size": 8,
        "log_every_steps": 10,
        "sample_every_steps": 30,
        "checkpoint_every_steps": 20,
    },
    "generate": {
        "max_reject_share": 0.2,
        "sampling": {"num_workers": 1, "micro_batch_size": 8, "shard_rows": 20},
    },
    "evaluate": {
        "num_workers": 1,
        "num_candidates": 10,
        "num_splits": 2,
        "indomain": {"num_steps": 40, "batch_size": 32, "base_channels": 4, "feature_dim": 8},
    },
}


@dataclass(frozen=True)
class Run:
    """A folder with a recipe in it. `shared` holds the overrides of all runs that belong together."""

    folder: Path
    shared: tuple[str, ...] = ()

    def recipe(self, *overrides: str) -> Recipe:
        """The recipe with further overrides, as the command line would load it."""
        return load_recipe(str(self.path()), [*self.shared, *overrides])

    def path(self) -> Path:
        """The recipe's file."""
        path = self.folder / "recipe.yaml"
        if not path.exists():
            path.write_text(yaml.safe_dump({**_RECIPE, "run_uri": str(self.folder)}))
        return path

    def command(self, verb: str, *overrides: str) -> list[str]:
        """The verb on the recipe as a command."""
        settings = [word for setting in (*self.shared, *overrides) for word in ("--set", setting)]
        return [sys.executable, "-m", "jobs", verb, str(self.path()), *settings]


def trained(folder: Path) -> Run:
    """A run in a folder, ingested and trained by two workers."""
    run = Run(folder, (f"ingest.dataset_uri={folder}/dataset", *store_settings(folder)))
    ingest(run.recipe())
    train_forked(run.recipe())
    return run


def run_on(bucket: str, folder: Path) -> Run:
    """A run below a bucket; only MLflow's database lies on the disk."""
    run = Run(folder)
    run.path()
    return Run(
        folder,
        (
            f"run_uri={bucket}/run",
            f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db",
            f"tracking.artifact_uri={bucket}/artifacts",
            "train.num_workers=1",
            "promote.registered_model=far",
            "promote.champion_metric=r_precision_10",
        ),
    )


def write_here(recipe: Recipe) -> list[str]:
    """The shards of a generation, written in this process as an actor of the pool does it; returns their URIs."""
    work = plan(recipe, prompt_files(recipe))
    (output,) = work.outputs
    num_shards = output.prompt_set.num_shards
    ShardWriter(work).write(ShardRange(0, 0, num_shards))
    return [output.shard_uri(index) for index in range(num_shards)]


def contents(folder: str | Path, pattern: str = "*") -> dict[str, bytes]:
    """All files below a folder that match, by their place in it."""
    root = Path(folder)
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob(pattern)) if p.is_file()}


def last_checkpoint(recipe: Recipe) -> dict[str, bytes]:
    """The files of the finished training."""
    return contents(storage.join(recipe.train.checkpoint_uri, f"step-{recipe.task.num_steps:08d}"))


def wait_until(holds: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Poll; fail when the process ends before, or after a generous while."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS} s"
        if process is not None and process.poll() is not None:
            said = process.stderr.read().decode()[-2_000:] if process.stderr else ""
            raise AssertionError(f"the process ended before: {what}\n{said}")
        time.sleep(0.005)


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A verb with a Ray session of its own; whatever it started is gone afterwards."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=own_session(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        kill(process)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A verb with a Ray session of its own, to its end."""
    return subprocess.run(
        command, cwd=ROOT, env=own_session(), capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the driver and for all that it started, as when the machine is lost."""
    victims = []
    with suppress(psutil.NoSuchProcess):
        victims = psutil.Process(process.pid).children(recursive=True)
    for pid in (process.pid, *(victim.pid for victim in victims)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(victims, timeout=DEADLINE_SECONDS)


def training_workers() -> list[psutil.Process]:
    """The training workers of this process's Ray session."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
    return found


def own_session() -> Mapping[str, str]:
    """This process's variables without those of its Ray session; workers know the harmful prompts."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {"PYTHONPATH": HARM}
