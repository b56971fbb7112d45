"""Inputs of the benchmarks, made on the spot in a temporary folder, and commands run on them."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ganrnn import checkpoint
from ganrnn.data import scenes
from ganrnn.task import task_class
from ganrnn.text.captions import Vocabulary
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.tracking import runs
from tests.benchmarks.record import ROOT

RECIPE = "jobs/recipes/demo.yaml"
NUM_TRAINING_SCENES = 4_000


@dataclass(frozen=True)
class Sizes:
    """How much to measure. Warm-up steps are trained but not counted."""

    train_repeats: int = 5
    train_steps: int = 300
    warm_up_steps: int = 75
    log_every_steps: int = 25
    speed_repeats: int = 2
    speed_prompts: int = 196_608
    memory_repeats: int = 2
    few_prompts: int = 2_000
    many_prompts: int = 20_000
    shard_rows: int = 512


QUICK = Sizes(
    train_repeats=1,
    train_steps=20,
    warm_up_steps=10,
    log_every_steps=5,
    speed_repeats=1,
    speed_prompts=256,
    memory_repeats=1,
    few_prompts=64,
    many_prompts=128,
    shard_rows=32,
)


class CommandFailed(RuntimeError):
    """A measured command did not end with exit code 0; holds the end of what it printed."""


class Workspace:
    """A folder with what the demo recipe's verbs need, and the overrides that point the recipe there."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder, self.sizes = folder, sizes
        # Makes the database, which costs seconds once in the life of a project and not once a job.
        place = self.recipe().tracking
        runs.finish_run(place, runs.start_run(place, "bench", {}, "bench", {}, {}), "FINISHED")

    def overrides(self, *further: str) -> list[str]:
        """`key=value` pairs: everything below the folder, then what the caller adds."""
        return [
            f"run_uri={self.folder}/run",
            f"tracking.tracking_uri=sqlite:///{self.folder}/mlflow.db",
            f"tracking.artifact_uri={self.folder}/mlartifacts",
            f"ingest.scenes.num_train={NUM_TRAINING_SCENES}",
            "ingest.scenes.num_val=64",
            "ingest.scenes.num_test=64",
            *further,
        ]

    def recipe(self, *further: str) -> Recipe:
        """The demo recipe with the overrides."""
        return load_recipe(str(ROOT / RECIPE), self.overrides(*further))

    def ingest(self) -> None:
        """Write the data set that trainings read."""
        self.run(["-m", "jobs", "ingest", RECIPE], self.overrides())

    def write_model(self, *overrides: str) -> str:
        """A checkpoint of the recipe's task with untrained weights; returns its URI."""
        config = self.recipe(*overrides).task
        texts = [text for _, text in _captions(2_000)]
        task = task_class(config.name)(config, Vocabulary.build(texts, config.vocabulary))
        uri = str(self.folder / "model")
        storage.commit_files(uri, checkpoint.pack(task, {}, {}), last=checkpoint.DESCRIPTION)
        return uri

    def write_prompts(self, num_prompts: int) -> str:
        """A prompts Parquet of scene captions, English and Chinese in turn; returns its URI."""
        uri = str(self.folder / f"prompts-{num_prompts}.parquet")
        ids, texts = zip(*_captions(num_prompts), strict=True)
        storage.commit_table(uri, pa.table({"prompt_id": ids, "prompt": texts}))
        return uri

    def run(self, arguments: Sequence[str], overrides: Sequence[str]) -> float:
        """Run this Python with `arguments --set ...` from the repository root; returns the seconds it took."""
        started = time.monotonic()
        process = self.start(arguments, overrides)
        output, _ = process.communicate()
        self.check(process, output)
        return time.monotonic() - started

    def start(self, arguments: Sequence[str], overrides: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Begin such a command; its output can be read from `stdout`."""
        # One thread a process: what is compared are ways to run the same work, not thread pools.
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        settings = [word for override in overrides for word in ("--set", override)]
        return subprocess.Popen(
            [sys.executable, *arguments, *settings],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def check(self, process: "subprocess.Popen[bytes]", output: bytes) -> None:
        """Raise CommandFailed where an ended command failed."""
        if process.returncode:
            raise CommandFailed(f"{process.args!r} ended with {process.returncode}:\n{output.decode()[-4_000:]}")


def _captions(num_captions: int) -> list[tuple[str, str]]:
    combinations = scenes.single_combinations()
    return [
        (f"p{i:06d}", scenes.describe(combinations[i % len(combinations)], ("en", "zh")[i % 2], i))
        for i in range(num_captions)
    ]
