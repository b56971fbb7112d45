"""Trainings provoked to go wrong, with the guard and without: does the guard bring them back?

A small text_to_image on scenes, one worker, in this process. Provoked are a learning rate 30 times as high, a batch
whose pictures are a thousand times too bright, or a NaN in a weight. A training is recovered that ends within a tenth
of the undisturbed one's distance from real pictures, or nearer.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from record import Figure, digits

from ganrnn.checkpoint import SAMPLER_FILES, load_sampler
from ganrnn.guard import Memory
from ganrnn.tasks.text_to_image import TextToImage
from pipelines import storage
from pipelines.checkpoints import Checkpoints
from pipelines.config import Recipe, parse_recipe
from pipelines.ingest import ingest
from pipelines.train_watch import Watch
from pipelines.train_worker import train_worker
from tests.stages.test_guard import job_of

BAD_STEP = 430
WITHIN = 1.1


@dataclass(frozen=True)
class Provocation:
    """Settings that differ, and what happens to the step."""

    settings: dict[str, Any]
    patched: Callable[[], Any]


def recipe(folder: Path, name: str, num_steps: int, settings: dict[str, Any]) -> Recipe:
    """Shares the data set and the store of runs."""
    player = {"learning_rate": 1e-3} | settings.get("player", {})
    raw: dict[str, Any] = {
        "name": "collapses",
        "run_uri": str(folder / name),
        "ingest": {
            "dataset_uri": str(folder / "dataset"),
            "height": 16,
            "width": 16,
            "scenes": {"num_train": 4_000, "num_val": 512, "num_test": 64},
        },
        "task": {
            "name": "text_to_image",
            "height": 16,
            "width": 16,
            "base_channels": 8,
            "num_steps": num_steps,
            "generator": player,
            "discriminator": player,
        },
        "train": {
            "num_workers": 1,
            "checkpoint_every_steps": 100,
            "sample_every_steps": num_steps,
            "guard": {"check_every_steps": 20, "enabled": settings.get("guarded", True)},
        },
        "tracking": {"tracking_uri": f"sqlite:///{folder}/mlflow.db", "artifact_uri": str(folder / "artifacts")},
    }
    return parse_recipe(raw, "collapses")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Nothing happens."""
    yield


@contextmanager
def bright_batch() -> Iterator[None]:
    """One batch of real pictures, a thousand times too bright."""
    chunk = TextToImage._chunk

    def poisoned(task: TextToImage, batch: Any, with_graph: bool) -> Any:
        held = chunk(task, batch, with_graph)
        if task.step_index == BAD_STEP and not task.caution:
            held.real = held.real * 1_000
        return held

    with mock.patch.object(TextToImage, "_chunk", poisoned):
        yield


@contextmanager
def nan_weight() -> Iterator[None]:
    """One weight of the generator is no number any more."""
    step = TextToImage.step

    def poisoned(task: TextToImage, batch: Any) -> Any:
        if task.step_index == BAD_STEP and not task.caution:
            with torch.no_grad():
                next(task.generator.parameters()).view(-1)[0] = torch.nan
        return step(task, batch)

    with mock.patch.object(TextToImage, "step", poisoned):
        yield


PROVOCATIONS = {
    "learning_rate_x30": Provocation({"player": {"learning_rate": 3e-2}}, undisturbed),
    "poisoned_batch": Provocation({}, bright_batch),
    "nan": Provocation({}, nan_weight),
}


def distance_of(made: Recipe, patched: Callable[[], Any]) -> tuple[float, list[str]]:
    """How far the last checkpoint's samples are from real pictures, as the guard measures it, and what it said."""
    job = job_of(made)
    with patched():
        train_worker(job)
    said = [str(report) for report in job["reports"] if not isinstance(report, tuple)]
    newest = Checkpoints(made.train.checkpoint_uri, 2).newest()
    assert newest
    return final_distance(made, job, newest.uri), said


def final_distance(made: Recipe, job: dict[str, Any], uri: str) -> float:
    """Of a checkpoint, NaN where its weights are none."""
    task = load_sampler({name: storage.read_bytes(f"{uri}/{name}") for name in SAMPLER_FILES})
    if not all(bool(p.isfinite().all()) for network in task.networks.values() for p in network.parameters()):
        return float("nan")
    quality = Watch(made, job, Memory())._quality(task)
    assert quality
    return quality.distance


def measure(num_steps: int = 1_000) -> list[Figure]:
    """The undisturbed training, then each provocation with the guard and without."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ganrnn-collapses-") as scratch:
        folder = Path(scratch)
        calm = recipe(folder, "undisturbed", num_steps, {})
        ingest(calm)
        expected, _ = distance_of(calm, undisturbed)
        print(f"  undisturbed: distance {expected:.2f}", flush=True)
        details: dict[str, Any] = {"num_steps": num_steps, "undisturbed": digits(expected)}
        recovered = 0
        for name, provocation in PROVOCATIONS.items():
            guarded, said = distance_of(recipe(folder, name, num_steps, provocation.settings), provocation.patched)
            off = provocation.settings | {"guarded": False}
            bare, _ = distance_of(recipe(folder, f"{name}-off", num_steps, off), provocation.patched)
            recovered += guarded <= WITHIN * expected < (bare if bare == bare else float("inf"))
            details[name] = {"guarded": digits(guarded), "unguarded": str(digits(bare)), "interventions": said}
            print(f"  {name}: with the guard {guarded:.2f}, without {bare:.2f}; {said}", flush=True)
    return [
        Figure("collapses_recovered", float(recovered), details),
        Figure("collapses_provoked", float(len(PROVOCATIONS)), {}),
    ]
