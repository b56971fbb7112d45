"""Training: killed anywhere and run again it ends with the same bytes; a folder belongs to one training."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import mlflow
import psutil
import pytest
from torch.multiprocessing import ProcessExitedException

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.runner import Workers
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.driver import train
from tests.pipelines import tiny
from tests.pipelines.tiny import NUM_STEPS, Run
from tests.pipelines.train.deaths import Killed
from tests.pipelines.train.forked import ForkedRunner, train_forked
from tests.pipelines.train.jobs import job_of

MakeRun = Callable[[], Run]


def test_a_finished_training(trained: Run) -> None:
    recipe = trained.recipe()
    identity = storage.read_json(f"{recipe.train.checkpoint_uri}/run.json")
    assert identity["task"]["num_steps"] == NUM_STEPS and identity["train"]["num_workers"] == 2
    manifest = storage.read_json(f"{recipe.ingest.dataset_uri}/manifest.json")
    assert identity["dataset_digest"] == manifest["totals"]["dataset_digest"]
    assert storage.list_folders(recipe.train.checkpoint_uri)[-2:] == [f"step-{NUM_STEPS - 20:08d}", "step-00000060"]
    files = tiny.last_checkpoint(recipe)
    description = checkpoint.verify(files)
    assert set(files) == {checkpoint.DESCRIPTION, *checkpoint.TRAINING_FILES}
    assert description.step == NUM_STEPS and description.position["identity"] == identity["digest"]
    assert description.position["guard"]["best_step"] in (40, 60) and description.caution["times"] == 0


def test_the_run_is_on_mlflow(trained: Run) -> None:
    recipe = trained.recipe()
    client = mlflow.MlflowClient(recipe.tracking.tracking_uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    digest = storage.read_json(f"{recipe.train.checkpoint_uri}/run.json")["digest"]
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`ganrnn.identity` = '{digest}'")
    assert run.info.status == "FINISHED"
    for name in ("loss_d", "loss_g", "matching_d", "matching_g", "r1", "r2", "images_per_second"):
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, name)] == [10, 20, 30, 40, 50, 60]
    assert run.data.params["task.num_steps"] == str(NUM_STEPS)
    assert [i.dataset.name for i in run.inputs.dataset_inputs] == ["train"]
    grids = [file.path for file in client.list_artifacts(run.info.run_id, "samples")]
    assert grids == ["samples/step-00000030.png", "samples/step-00000060.png"]


def test_a_finished_training_run_again_does_nothing(trained: Run) -> None:
    recipe = trained.recipe()
    before = {path: path.stat().st_mtime_ns for path in Path(recipe.train.checkpoint_uri).rglob("*")}
    assert train(recipe) == f"{recipe.train.checkpoint_uri}/step-{NUM_STEPS:08d}"
    assert {path: path.stat().st_mtime_ns for path in Path(recipe.train.checkpoint_uri).rglob("*")} == before


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("seed=1", "seed = 0, now it is 1"),
        ("task.generator.learning_rate=0.5", "task.generator.learning_rate = 0.001, now it is 0.5"),
        ("train.num_workers=1", "train.num_workers = 2, now it is 1"),
    ],
)
def test_another_training_in_the_same_folder_is_refused(trained: Run, override: str, difference: str) -> None:
    before = tiny.contents(trained.recipe().train.checkpoint_uri)
    with pytest.raises(BadInput, match=f"checkpoints was begun with {difference}; set it back"):
        train(trained.recipe(override))
    assert tiny.contents(trained.recipe().train.checkpoint_uri) == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ingest.dataset_uri=/nowhere/dataset", "/nowhere/dataset/manifest.json does not exist; run ingest first"),
        ("task.width=32", "task.width is 32; the pictures of .*dataset have width 16"),
        ("train.global_batch_size=400", "train.global_batch_size is 400; allowed is at most .* training rows, 300"),
        ("train.use_gpu=true", "train: 1 GPU a worker; a run without Ray uses CPUs alone"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(make_run: MakeRun, override: str, message: str) -> None:
    recipe = make_run().recipe(override)
    with pytest.raises(BadInput, match=message):
        train(recipe)
    assert not Path(recipe.train.checkpoint_uri).exists()


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    """A copy of the trained checkpoints, of which steps 40 and 60 are kept."""
    return Path(shutil.copytree(trained.recipe().train.checkpoint_uri, tmp_path / "checkpoints"))


def newest_step(checkpoints: Path) -> int | None:
    newest = Checkpoints(str(checkpoints), num_kept=2).newest()
    return newest.step if newest else None


@pytest.mark.parametrize("name", [checkpoint.DESCRIPTION, *checkpoint.TRAINING_FILES])
def test_a_damaged_checkpoint_is_passed_over(copied: Path, name: str) -> None:
    for step, previous in ((60, 40), (40, None)):
        assert newest_step(copied) == step
        path = copied / f"step-{step:08d}" / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert newest_step(copied) == previous


def test_a_checkpoint_counts_only_with_its_description_and_all_files(copied: Path) -> None:
    (copied / "step-00000060" / checkpoint.DESCRIPTION).unlink()
    assert newest_step(copied) == 40
    (copied / "step-00000040" / "rng.safetensors").unlink()
    assert newest_step(copied) is None


def test_older_checkpoints_go_only_when_newer_ones_are_whole(copied: Path) -> None:
    files = tiny.contents(copied / "step-00000060")
    (copied / "step-00000070").mkdir()
    (copied / "step-00000070" / checkpoint.SAMPLER).write_bytes(b"half")
    Checkpoints(str(copied), num_kept=2).commit(80, files)
    assert sorted(folder.name for folder in copied.glob("step-*")) == [
        "step-00000060",
        "step-00000070",
        "step-00000080",
    ]
    assert tiny.contents(copied / "step-00000080") == files


def test_two_ranks_one_of_which_is_killed_end_with_the_bytes_of_two_never_killed(
    trained: Run, make_run: MakeRun
) -> None:
    recipe = make_run().recipe()
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        ForkedRunner().train(Killed(1, step=45), job_of(recipe), Workers(2), recipe.run_uri, failures=0)
    assert newest_step(Path(recipe.train.checkpoint_uri)) == 40
    train_forked(recipe)
    assert tiny.last_checkpoint(recipe) == tiny.last_checkpoint(trained.recipe())


@pytest.mark.slow("starts Ray Train twice and kills its driver")
def test_a_killed_driver_ends_with_the_bytes_of_one_never_killed(on_ray: None, trained: Run, make_run: MakeRun) -> None:
    run = make_run()
    checkpoints = Path(run.recipe().train.checkpoint_uri)
    with tiny.started(run.command("train")) as process:
        first = checkpoints / "step-00000020" / checkpoint.DESCRIPTION
        tiny.wait_until(first.exists, "the first checkpoint", process)
        tiny.kill(process)
    there = {folder.name for folder in checkpoints.glob("step-*")}
    assert "step-00000020" in there and f"step-{NUM_STEPS:08d}" not in there
    train(run.recipe())
    assert tiny.last_checkpoint(run.recipe()) == tiny.last_checkpoint(trained.recipe())


@pytest.mark.slow("kills a worker of Ray Train")
def test_a_killed_worker_ends_with_the_bytes_of_one_never_killed(on_ray: None, trained: Run, make_run: MakeRun) -> None:
    run = make_run()
    recipe = run.recipe("train.max_failures=1")
    first = Path(recipe.train.checkpoint_uri, "step-00000020", checkpoint.DESCRIPTION)
    killed: list[psutil.Process] = []

    def kill_one() -> None:
        tiny.wait_until(first.exists, "the first checkpoint")
        killed.extend(tiny.training_workers()[-1:])
        killed[0].kill()

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    train(recipe)
    killer.join()
    assert killed and not killed[0].is_running()
    assert tiny.last_checkpoint(recipe) == tiny.last_checkpoint(trained.recipe())


@pytest.mark.slow("starts Ray Train")
def test_a_worker_that_always_fails_ends_the_training(on_ray: None, make_run: MakeRun) -> None:
    """A prompts file that disappears is the user's to mend, and retried no more often than allowed."""
    recipe = make_run().recipe("train.max_failures=0")
    copy = Path(recipe.run_uri, "dataset")
    shutil.copytree(recipe.ingest.dataset_uri, copy)
    (copy / "prompts.parquet").unlink()
    with pytest.raises(BadInput, match=r"^/.*prompts.parquet cannot be read as Parquet") as raised:
        train(make_run().recipe("train.max_failures=0", f"ingest.dataset_uri={copy}"))
    assert "\n" not in str(raised.value)
