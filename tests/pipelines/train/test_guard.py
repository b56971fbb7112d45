"""A training that goes wrong is set back and ends well; with the guard off it does not. One worker, in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from ganrnn import checkpoint
from ganrnn.checkpoint import load_sampler
from ganrnn.errors import BadInput
from ganrnn.tasks.text_to_image import TextToImage
from pipelines.sampling import model_files
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.worker import train_worker
from tests.pipelines.tiny import NUM_STEPS, Run
from tests.pipelines.train.jobs import KeptReports, job_of, lines_of, newest_files, trained

Step = Callable[[TextToImage, Any], dict[str, torch.Tensor]]
MakeRun = Callable[[], Run]
BAD_STEP = 35
SETTINGS = ("train.num_workers=1", "train.guard.check_every_steps=5")


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[TextToImage], bool]], None]:
    """Has a weight of the generator become NaN before the steps for which a condition holds."""

    def arrange(condition: Callable[[TextToImage], bool]) -> None:
        step: Step = TextToImage.step

        def poisoned(task: TextToImage, batch: Any) -> dict[str, torch.Tensor]:
            if condition(task):
                with torch.no_grad():
                    task.networks["generator"].to_rgb.bias[0] = torch.nan  # type: ignore[index, union-attr]
            return step(task, batch)

        monkeypatch.setattr(TextToImage, "step", poisoned)

    return arrange


def is_finite(files: dict[str, bytes]) -> bool:
    networks = load_sampler(files).networks.values()
    return all(bool(p.isfinite().all()) for network in networks for p in network.parameters())


def test_a_nan_is_set_back_and_the_training_ends_well(make_run: MakeRun, poison: Any) -> None:
    poison(lambda task: task.step_index == BAD_STEP and not task.backoff.times)
    recipe = make_run().recipe(*SETTINGS)
    files, reports = trained(recipe)
    description = checkpoint.verify(files)
    assert (description.step, description.caution["times"]) == (NUM_STEPS, 1)
    assert is_finite(files)
    (line,) = reports
    assert line.startswith("guard: step 40: ") and " is nan; back to step 20, learning rates x 0.25" in line
    client = mlflow.MlflowClient(recipe.tracking.tracking_uri)
    (run,) = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id],  # type: ignore[union-attr]
        f"tags.`ganrnn.identity` = '{recipe.run_uri}'",
    )
    assert run.data.metrics["guard_interventions"] == 1 and run.data.metrics["quick_distance"] > 0
    assert run.data.metrics["activation_bytes"] > 10_000
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/guard/1.txt") == line


def test_without_the_guard_the_nan_stays(make_run: MakeRun, poison: Any) -> None:
    poison(lambda task: task.step_index == BAD_STEP and not task.backoff.times)
    files, reports = trained(make_run().recipe(*SETTINGS, "train.guard.enabled=false"))
    assert not is_finite(files) and not reports


def test_what_goes_wrong_every_time_ends_with_the_reason_and_the_best_checkpoint(
    make_run: MakeRun, poison: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganrnn.training.guard._LEARNT", float("inf"))
    poison(lambda task: task.step_index == BAD_STEP)
    recipe = make_run().recipe(*SETTINGS, "train.guard.max_interventions=2")
    reports = KeptReports()
    with pytest.raises(BadInput) as refusal:
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
    files, (line,) = trained(make_run().recipe(*SETTINGS))
    assert line.startswith("guard: step 40: gradient_norm_d is ")
    assert line.endswith(f"; back to step {back_to}, learning rates x 0.25, penalties x 2")
    description = checkpoint.verify(files)
    assert (description.step, description.position["guard"]["first_distance"] > 0) == (NUM_STEPS, True)


def test_killed_after_an_intervention_it_ends_with_the_same_bytes(
    make_run: MakeRun, poison: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(lambda task: task.step_index == BAD_STEP and not task.backoff.times)
    expected, _ = trained(make_run().recipe(*SETTINGS))
    recipe = make_run().recipe(*SETTINGS)
    commit = Checkpoints.commit

    def commit_and_die(self: Checkpoints, step: int, *rest: Any) -> str:
        uri = commit(self, step, *rest)
        if step == 40:
            raise KeyboardInterrupt
        return uri

    monkeypatch.setattr(Checkpoints, "commit", commit_and_die)
    with pytest.raises(KeyboardInterrupt):
        trained(recipe)
    monkeypatch.setattr(Checkpoints, "commit", commit)
    assert trained(recipe)[0] == expected


def test_the_best_checkpoint_outlives_newer_ones(tmp_path: Path, make_run: MakeRun) -> None:
    files, _ = trained(make_run().recipe(*SETTINGS))
    checkpoints = Checkpoints(str(tmp_path), num_kept=1)
    for step in (20, 40, 60):
        checkpoints.commit(step, files, best_step=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000060"]
    assert checkpoints.go_back(None) == 60
    assert checkpoints.go_back(20) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000020"]


def test_the_best_checkpoint_is_a_model(make_run: MakeRun, tmp_path: Path) -> None:
    recipe = make_run().recipe(*SETTINGS)
    files, _ = trained(recipe)
    best = checkpoint.verify(files).position["guard"]["best_step"]
    uri = recipe.train.checkpoint_uri
    found = model_files.fetch_files(f"{uri}@best", recipe.tracking)
    assert checkpoint.describe(found[checkpoint.DESCRIPTION], uri).step == best
    blind = make_run().recipe(*SETTINGS, "train.guard.enabled=false")
    trained(blind)
    with pytest.raises(BadInput, match="its training looked at no samples, so none is the best; leave out @best"):
        model_files.fetch_files(f"{blind.train.checkpoint_uri}@best", blind.tracking)
