"""A training that goes wrong is set back and ends well; with the guard off it does not. One worker, in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from ganrnn import checkpoint
from ganrnn.checkpoint import load_sampler
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage
from pipelines.config.recipe import Recipe
from pipelines.sampling import model_files
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.worker import train_worker
from tests.pipelines.tiny import NUM_STEPS, Run
from tests.pipelines.train import jobs
from tests.pipelines.train.deaths import train_through_deaths
from tests.pipelines.train.jobs import KeptReports, job_of, lines_of, newest_files

Step = Callable[[TextToImage, Any], dict[str, torch.Tensor]]
MakeRun = Callable[[], Run]
BAD_STEP = 35
SETTINGS = ("train.num_workers=1", "train.guard.check_every_steps=5")


@contextmanager
def poisoned(condition: Callable[[TextToImage], bool]) -> Iterator[None]:
    """Has a weight of the generator become NaN before the steps for which a condition holds."""
    step: Step = TextToImage.step

    def poisoned_step(task: TextToImage, batch: Any) -> dict[str, torch.Tensor]:
        if condition(task):
            with torch.no_grad():
                task.networks["generator"].to_mixture.bias[0] = torch.nan  # type: ignore[index, union-attr]
        return step(task, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextToImage, "step", poisoned_step)
        yield


def is_bad_once(task: TextToImage) -> bool:
    """At a step that the guard has not yet set back."""
    return task.step_index == BAD_STEP and not task.backoff.times


@dataclass(frozen=True)
class Trained:
    """A recipe, files of its newest checkpoint, and what its rank said."""

    recipe: Recipe
    files: dict[str, bytes]
    lines: list[str]


@pytest.fixture(scope="module")
def poisoned_once(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """A training with more settings that meets one NaN."""

    def train(*settings: str) -> Trained:
        recipe = Run(tmp_path_factory.mktemp("poisoned"), trained.shared).recipe(*SETTINGS, *settings)
        with poisoned(is_bad_once):
            return Trained(recipe, *jobs.trained(recipe))

    return train


@pytest.fixture(scope="module")
def set_back(poisoned_once: Callable[..., Trained]) -> Trained:
    """It is set back once."""
    return poisoned_once()


@pytest.fixture(scope="module")
def blind(poisoned_once: Callable[..., Trained]) -> Trained:
    """Its guard is off."""
    return poisoned_once("train.guard.enabled=false")


def is_finite(files: dict[str, bytes]) -> bool:
    networks = load_sampler(files).networks.values()
    return all(bool(p.isfinite().all()) for network in networks for p in network.parameters())


def test_a_nan_is_set_back_and_the_training_ends_well(set_back: Trained) -> None:
    recipe, description = set_back.recipe, checkpoint.verify(set_back.files)
    assert (description.step, description.caution["times"]) == (NUM_STEPS, 1)
    assert is_finite(set_back.files)
    (line,) = set_back.lines
    assert line.startswith("guard: step 40: ") and " is nan; back to step 20, learning rates x 0.25" in line
    client = mlflow.MlflowClient(recipe.tracking.tracking_uri)
    (run,) = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id],  # type: ignore[union-attr]
        f"tags.`ganrnn.identity` = '{recipe.run_uri}'",
    )
    assert run.data.metrics["guard_interventions"] == 1 and run.data.metrics["quick_distance"] > 0
    assert run.data.metrics["activation_bytes"] > 10_000
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/guard/1.txt") == line


def test_without_the_guard_the_nan_stays(blind: Trained) -> None:
    assert not is_finite(blind.files) and not blind.lines


def test_what_goes_wrong_every_time_ends_with_the_reason_and_the_best_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganrnn.training.guard._LEARNT", float("inf"))
    recipe = make_run().recipe(*SETTINGS, "train.guard.max_interventions=2")
    reports = KeptReports()
    with poisoned(lambda task: task.step_index == BAD_STEP), pytest.raises(BadInput) as refusal:
        train_worker(job_of(recipe, reports))
    files, lines = newest_files(recipe), lines_of(reports)
    assert len(lines) == 2 and all("back to step 20" in line for line in lines)
    assert str(refusal.value).startswith(
        f"{recipe.train.checkpoint_uri}: stopped at step 40 after 2 interventions, because "
    )
    assert "checkpoint step-00000020 is its best; lower the learning rates" in str(refusal.value)
    assert checkpoint.verify(files).step == 20 and is_finite(files)


@pytest.mark.parametrize(("learnt_at", "back_to"), [(0.0, 0), (float("inf"), 20)])
def test_what_has_not_learnt_begins_again(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, learnt_at: float, back_to: int
) -> None:
    step: Step = TextToImage.step

    def steep(task: TextToImage, batch: Any) -> dict[str, torch.Tensor]:
        factor = 1e6 if task.step_index == BAD_STEP and not task.backoff.times else 1.0
        metrics = step(task, batch)
        return metrics | {"gradient_norm_d": metrics["gradient_norm_d"] * factor}

    monkeypatch.setattr(TextToImage, "step", steep)
    monkeypatch.setattr("ganrnn.training.guard._LEARNT", learnt_at)
    files, (line,) = jobs.trained(make_run().recipe(*SETTINGS))
    assert line.startswith("guard: step 40: gradient_norm_d is ")
    assert line.endswith(f"; back to step {back_to}, learning rates x 0.25, penalties x 2")
    description = checkpoint.verify(files)
    assert (description.step, description.position["guard"]["first_distance"] > 0) == (NUM_STEPS, True)


def test_killed_after_an_intervention_it_ends_with_the_same_bytes(set_back: Trained, make_run: MakeRun) -> None:
    recipe = make_run().recipe(*SETTINGS)
    with poisoned(is_bad_once):
        train_through_deaths(recipe, [40])
    assert newest_files(recipe) == set_back.files


def test_the_best_checkpoint_outlives_newer_ones(tmp_path: Path, set_back: Trained) -> None:
    checkpoints = Checkpoints(str(tmp_path), num_kept=1)
    for step in (20, 40, 60):
        checkpoints.commit(step, set_back.files, best_step=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000060"]
    assert checkpoints.go_back(None) == 60
    assert checkpoints.go_back(20) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000020"]


def test_only_what_a_training_wrote_is_removed(tmp_path: Path, set_back: Trained) -> None:
    checkpoints = Checkpoints(str(tmp_path), num_kept=1)
    for name in ("step-old", "step-10", "step-00000020"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    (tmp_path / "step-10/checkpoint.json").write_text("{}")
    for step in (20, 40):
        checkpoints.commit(step, set_back.files)
    paths = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")]
    assert sorted(path for path in paths if not path.startswith("step-00000040")) == [
        "step-00000020/notes.txt",
        "step-10/checkpoint.json",
        "step-10/notes.txt",
        "step-old/notes.txt",
    ]


def test_the_best_checkpoint_is_a_model(trained: Run, blind: Trained) -> None:
    recipe = trained.recipe()
    best = checkpoint.verify(newest_files(recipe)).position["guard"]["best_step"]
    uri = recipe.train.checkpoint_uri
    found = model_files.fetch_files(f"{uri}@best", recipe.tracking)
    assert checkpoint.describe(found[checkpoint.DESCRIPTION], uri).step == best
    with pytest.raises(BadInput, match="its training looked at no samples, so none is the best; leave out @best"):
        model_files.fetch_files(f"{blind.recipe.train.checkpoint_uri}@best", blind.recipe.tracking)
