"""Trainings provoked to go wrong, with the guard and without: does the guard bring them back?

A small text_to_image on scenes, one worker, in this process, three seeds. Provoked are a learning rate 30 times as
high, a batch whose pictures overflow, or a NaN in a weight. A provocation is recovered from when the trainings end, on
average, within a tenth of the undisturbed ones' distance from real pictures, or nearer, and without the guard do not.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from ganrnn.checkpoint import SAMPLER_FILES, load_sampler
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage
from pipelines import storage
from pipelines.cluster.messages import Progress
from pipelines.config.loader import parse_recipe
from pipelines.config.recipe import Recipe
from pipelines.ingest.driver import ingest
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.job import TrainJob
from pipelines.train.worker import train_worker, validation_of
from tests.benchmarks.record import Figure, digits
from tests.pipelines.train.jobs import KeptReports, job_of

BAD_STEP = 430
WITHIN = 1.1
SEEDS = (0, 1, 2)
OVERFLOW = 1e30


@dataclass(frozen=True)
class Provocation:
    """Settings that differ, and what happens to the step."""

    settings: dict[str, Any]
    patched: Callable[[], Any]


def recipe(folder: Path, name: str, num_steps: int, settings: dict[str, Any], seed: int) -> Recipe:
    """Shares the store of runs, and the data set of a seed."""
    player = {"learning_rate": 1e-3} | settings.get("player", {})
    raw: dict[str, Any] = {
        "name": "collapses",
        "run_uri": str(folder / f"{name}-{seed}"),
        "seed": seed,
        "ingest": {
            "dataset_uri": str(folder / f"dataset-{seed}"),
            "height": 16,
            "width": 16,
            "scenes": {"num_train": 4_000, "num_val": 512, "num_test": 64},
        },
        "task": settings.get("task", {})
        | {
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
def overflowing_batch() -> Iterator[None]:
    """One batch of real pictures whose pixels are as large as a float32 of garbage can be."""
    micro_batch_of = TextToImage._micro_batch

    def poisoned(task: TextToImage, batch: Any, with_graph: bool) -> Any:
        micro_batch = micro_batch_of(task, batch, with_graph)
        if task.step_index == BAD_STEP and not task.backoff.times:
            micro_batch.real = micro_batch.real * OVERFLOW
        return micro_batch

    with mock.patch.object(TextToImage, "_micro_batch", poisoned):
        yield


@contextmanager
def nan_weight() -> Iterator[None]:
    """One weight of the generator is no number any more."""
    step = TextToImage.step

    def poisoned(task: TextToImage, batch: Any) -> Any:
        if task.step_index == BAD_STEP and not task.backoff.times:
            with torch.no_grad():
                next(task.generator.parameters()).view(-1)[0] = torch.nan
        return step(task, batch)

    with mock.patch.object(TextToImage, "step", poisoned):
        yield


@contextmanager
def dropped_noise() -> Iterator[None]:
    """The weights by which the generator reads noise are zero, in the average too, until it is set back."""
    step = TextToImage.step

    def poisoned(task: TextToImage, batch: Any) -> Any:
        if task.step_index >= BAD_STEP and not task.backoff.times:
            for network in (task.generator, task.networks["generator_ema"]):
                with torch.no_grad():
                    network.style[0].weight[:, : task.config.z_dim] = 0  # type: ignore[union-attr, index]
        return step(task, batch)

    with mock.patch.object(TextToImage, "step", poisoned):
        yield


PROVOCATIONS = {
    "learning_rate_x30": Provocation({"player": {"learning_rate": 3e-2}}, undisturbed),
    "poisoned_batch": Provocation({}, overflowing_batch),
    "nan": Provocation({}, nan_weight),
}


NOTICED = {
    "nan": PROVOCATIONS["nan"],
    "learning_rate_x30": PROVOCATIONS["learning_rate_x30"],
    "dropped_noise": Provocation({}, dropped_noise),
    "drowned_by_matching": Provocation({"task": {"matching_weight": 1_000.0}}, undisturbed),
}
HEALTHY = ({}, {"task": {"matching_weight": 4.0, "energy_share": 0.3}})
NUM_HEALTHY = 10


def distance_of(made: Recipe, patched: Callable[[], Any]) -> tuple[float, list[str]]:
    """How far the last checkpoint's samples are from real pictures, as the guard measures it, and what it said."""
    reports = KeptReports()
    job = job_of(made, reports)
    with patched():
        train_worker(job)
    said = [report.text for report in reports if not isinstance(report, Progress)]
    newest = Checkpoints(made.train.checkpoint_uri, 2).newest()
    assert newest
    return final_distance(made, job, newest.uri), said


def final_distance(made: Recipe, job: TrainJob, uri: str) -> float:
    """Of a checkpoint, NaN where its weights are none."""
    task = load_sampler({name: storage.read_bytes(f"{uri}/{name}") for name in SAMPLER_FILES})
    if not all(bool(p.isfinite().all()) for network in task.networks.values() for p in network.parameters()):
        return float("nan")
    measured = validation_of(made, job.val_uris)(task)
    assert measured
    return measured[0].distance


def mean(distances: list[float]) -> float:
    """Infinite where one training is lost."""
    return sum(d if d == d else float("inf") for d in distances) / len(distances)


def measure(num_steps: int = 2_000) -> list[Figure]:
    """The undisturbed trainings, then each provocation with the guard and without."""
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {}
    heard: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="ganrnn-collapses-") as scratch:
        folder = Path(scratch)
        for seed in SEEDS:
            runs = {"undisturbed": Provocation({}, undisturbed)} | PROVOCATIONS
            runs |= {
                f"{n}-off": Provocation(p.settings | {"guarded": False}, p.patched) for n, p in PROVOCATIONS.items()
            }
            for name, provocation in runs.items():
                made = recipe(folder, name, num_steps, provocation.settings, seed)
                ingest(made)
                distance, said = distance_of(made, provocation.patched)
                found.setdefault(name, []).append(distance)
                heard.setdefault(name, []).extend(said)
                print(f"  seed {seed}, {name}: {distance:.2f}; {said}", flush=True)
    expected = mean(found["undisturbed"])
    recovered = sum(mean(found[n]) <= WITHIN * expected < mean(found[f"{n}-off"]) for n in PROVOCATIONS)
    details: dict[str, Any] = {"num_steps": num_steps, "interventions": heard}
    details |= {name: [str(digits(distance)) for distance in distances] for name, distances in found.items()}
    return [
        Figure("collapses_recovered", float(recovered), details),
        Figure("collapses_provoked", float(len(PROVOCATIONS)), {}),
    ]


def notice(num_steps: int = 800) -> list[Figure]:
    """How many kinds of trouble the guard notices at every seed, and how often it takes a healthy training for one.

    What it noticed also has to end within a tenth of the undisturbed trainings' distance, or to stop with the reason.
    """
    torch.set_num_threads(1)
    healthy: list[float] = []
    told: dict[str, list[list[str]]] = {}
    ends: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="ganrnn-notices-") as scratch:
        folder = Path(scratch)

        def train(name: str, provocation: Provocation, seed: int) -> float:
            made = recipe(folder, name, num_steps, provocation.settings, seed)
            ingest(made)
            try:
                distance, said = distance_of(made, provocation.patched)
            except BadInput as refusal:  # it has given up, with the reason
                distance, said = 0.0, [str(refusal).replace(str(folder), "")]
            told.setdefault(name, []).append(said)
            print(f"  seed {seed}, {name}: {distance:.2f}; {said}", flush=True)
            return distance

        for seed in range(NUM_HEALTHY):  # the first with the settings of the provoked ones
            settings = HEALTHY[0] if seed in SEEDS else HEALTHY[seed % 2]
            healthy.append(train("healthy", Provocation(settings, undisturbed), seed))
        for name, provocation in NOTICED.items():
            ends[name] = [train(name, provocation, seed) for seed in SEEDS]
    most = WITHIN * mean(healthy[: len(SEEDS)])
    noticed = [name for name in NOTICED if all(told[name]) and mean(ends[name]) <= most]
    details = {"num_steps": num_steps, "noticed": noticed, "told": told, "most_distance": digits(most)}
    details |= {"ends": {name: [digits(distance) for distance in distances] for name, distances in ends.items()}}
    return [
        Figure("collapses_noticed", float(len(noticed)), details),
        Figure("false_alarms", float(sum(map(bool, told["healthy"]))), {"trainings": NUM_HEALTHY}),
    ]
