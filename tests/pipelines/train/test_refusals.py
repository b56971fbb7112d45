"""What a rank refuses ends a training at once, with its sentence: on any rank, never by a restart, never by waiting."""

import os
import pickle
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ray.train.v2._internal.callbacks.user_callback import UserCallbackHandler
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2._internal.execution.worker_group import WorkerGroupPollStatus, WorkerStatus
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.exceptions import ControllerError

from ganrnn import distributed
from ganrnn.errors import BadInput, TryAgain
from pipelines.cluster.ray_runner import EndAtRefusal, RayRunner
from pipelines.cluster.runner import Runner, Workers
from pipelines.cluster.serial_runner import SerialRunner
from pipelines.cluster.session import using
from pipelines.config.loader import load_recipe
from pipelines.config.train import TrainConfig
from pipelines.formats.manifest import Manifest, commit
from pipelines.ingest.driver import ingest
from pipelines.train.driver import train
from pipelines.train.job import TrainJob
from pipelines.train.worker import train_worker
from tests.pipelines.tiny import Run
from tests.pipelines.train import harms
from tests.pipelines.train.forked import ForkedRunner
from tests.pipelines.train.harms import Harm, Harmed
from tests.pipelines.train.jobs import job_of

SECONDS = 60  # a rank that waits for one that is gone does so for minutes
SETTINGS = (
    *("task.num_steps=12", "train.checkpoint_every_steps=4", "train.window_rows=64", "train.global_batch_size=8"),
    *("train.guard.enabled=false", "train.sample_every_steps=1000"),
)
SENTENCES: dict[Harm, str] = {
    harms.picture: r"^/.*/own/0000\d\.parquet: row \d+: not a readable image \(.*\); ingest the data set again$",
    harms.small_picture: (
        r"^/.*/own/0000\d\.parquet: row \d+: an image has 8 x 12 pixels, not \d+ x \d+; ingest the data set again$"
    ),
    **dict.fromkeys(
        (harms.row_group, harms.half_a_shard, harms.shrinking_shards),
        r"^/.*/own/0000\d\.parquet cannot be read as Parquet \(.*\); it may be missing, empty or truncated$",
    ),
    harms.step: r"^this batch cannot be learnt from$",
    harms.checkpoint: r"^/.*/step-00000008/networks\.safetensors cannot be read \(\[Errno 13\] denied\)$",
    harms.store: r"^/.*/step-00000008/networks\.safetensors cannot be read \(no answer\)$",
}
RESUMED = (harms.checkpoint, harms.store)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A data set, and a training of two ranks whose newest checkpoint is that of step 8 of 12."""
    folder = tmp_path_factory.mktemp("begun")
    shared = (f"ingest.dataset_uri={folder}/dataset", *SETTINGS)
    store_uris = (f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db", f"tracking.artifact_uri={folder}/artifacts")
    run = Run(folder, (*shared, *store_uris))
    ingest(run.recipe())
    ForkedRunner().train(train_worker, job_of(run.recipe()), Workers(2), str(folder), 0)
    shutil.rmtree(folder / "checkpoints/step-00000012")
    return run


def refused(runner: Runner, harm: Harm, rank: int, world_size: int, begun: Run, folder: Path) -> BadInput:
    """How a training on as many ranks, one of which meets a harm, ends within a minute."""
    recipe = Run(folder, begun.shared).recipe(f"train.num_workers={world_size}")
    if harm in RESUMED:
        shutil.copytree(begun.recipe().train.checkpoint_uri, recipe.train.checkpoint_uri)
    started = time.monotonic()
    with pytest.raises(BadInput) as raised:
        runner.train(Harmed(harm, rank), job_of(recipe), Workers(world_size), str(folder), failures=3)
    assert time.monotonic() - started < SECONDS
    return raised.value


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("harm", SENTENCES, ids=lambda harm: harm.__name__)
def test_a_rank_that_refuses_ends_both(harm: Harm, rank: int, begun: Run, tmp_path: Path) -> None:
    error = refused(ForkedRunner(), harm, rank, 2, begun, tmp_path)
    assert re.search(SENTENCES[harm], str(error)), error
    assert type(error) is (TryAgain if harm is harms.store else BadInput)


@pytest.mark.parametrize("harm", [harms.picture, harms.half_a_shard, harms.full_disk], ids=lambda harm: harm.__name__)
def test_runners_give_the_same_sentence(harm: Harm, begun: Run, tmp_path: Path) -> None:
    sentences = []
    for runner in (SerialRunner(), ForkedRunner()):
        sentences.append(str(refused(runner, harm, 0, 1, begun, tmp_path)))
        shutil.rmtree(tmp_path / "own", ignore_errors=True)
    assert sentences[0] == sentences[1]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("task.discriminator_steps=3", "a worker has 4 rows a step, which cannot be cut into .* = 3 equal parts"),
        ("task.base_channels=8", "/step-00000008: its task config differs from the recipe's; use the same or another"),
    ],
)
def test_what_recipe_manifest_and_checkpoints_say_is_refused_before_any_rank_starts(
    override: str, sentence: str, begun: Run, tmp_path: Path
) -> None:
    recipe = Run(tmp_path, begun.shared).recipe(override)
    newest = begun.recipe().train.checkpoint_uri + "/step-00000008"
    shutil.copytree(newest, f"{recipe.train.checkpoint_uri}/step-00000008")
    with using(SerialRunner()), pytest.raises(BadInput, match=sentence):  # which has no room for two ranks
        train(recipe)


def test_more_ranks_than_texts_are_refused_before_any_starts(tmp_path: Path) -> None:
    recipe = load_recipe("smiles_zinc", [f"run_uri={tmp_path}", "train.num_workers=4"])
    config = {"ingest": {"kind": "texts", "source": "parquet"}}
    commit(recipe.ingest.dataset_uri, Manifest("ingest", {}, config, (), {"train": 3}))
    with pytest.raises(BadInput, match=r"train\.num_workers is 4; allowed are at most as many as rows, 3"):
        train(recipe)


def test_a_checkpoint_that_cannot_be_written_ends_both(begun: Run, tmp_path: Path) -> None:
    error = refused(ForkedRunner(), harms.full_disk, 0, 2, begun, tmp_path)
    assert "step-00000004/" in str(error) and "cannot be written (no space left on device)" in str(error)


@dataclass(frozen=True)
class Counted:
    """A worker that leaves a file for each of its starts."""

    work: Harmed

    def __call__(self, job: TrainJob) -> None:
        Path(job.recipe.run_uri, f"start-{distributed.rank()}-{os.getpid()}").touch()
        self.work(job)


@pytest.mark.slow("starts Ray Train")
def test_ray_train_starts_no_refused_training_again(ray_session: None, begun: Run, tmp_path: Path) -> None:
    recipe = Run(tmp_path, begun.shared).recipe()
    worker = Counted(Harmed(harms.step, rank=1))
    with pytest.raises(BadInput, match=SENTENCES[harms.step]):
        RayRunner().train(worker, job_of(recipe), Workers(2), str(tmp_path), TrainConfig().max_failures)
    assert len(list(tmp_path.glob("start-*"))) == 2 and TrainConfig().max_failures == 3


def poll(error: Exception) -> WorkerGroupPollStatus:
    """What Ray Train's controller sees when rank 1 has failed and rank 0 waits for it."""
    return WorkerGroupPollStatus({0: WorkerStatus(running=True), 1: WorkerStatus(running=False, error=error)})


def test_ray_train_ends_at_what_a_callback_raises_and_restarts_after_a_death() -> None:
    """What `EndAtRefusal` relies on in Ray 2.60. Where this fails, refusals cost restarts, or deaths end trainings."""
    callbacks: Any = UserCallbackHandler([EndAtRefusal()], None)  # type: ignore[arg-type]  # no run's context is asked
    policy = DefaultFailurePolicy(FailureConfig(max_failures=3, controller_failure_limit=3))
    for error in (BadInput("no"), TryAgain("no")):
        with pytest.raises(BadInput, match=r"^no$") as raised:
            callbacks.after_worker_group_poll_status(poll(UserExceptionWithTraceback(error, "")))
        told: Any = pickle.loads(pickle.dumps(ControllerError(raised.value)))
        assert type(told.controller_failure) is type(error)
        assert policy.make_decision(told) is FailureDecision.RAISE
    for death in (UserExceptionWithTraceback(RuntimeError(), ""), WorkerHealthCheckFailedError("", RuntimeError())):
        callbacks.after_worker_group_poll_status(poll(death))
        assert policy.make_decision(poll(death).get_worker_group_error()) is FailureDecision.RETRY


def test_ray_train_ends_at_the_third_equal_failure_unless_a_rank_has_died() -> None:
    callbacks: Any = UserCallbackHandler([EndAtRefusal()], None)  # type: ignore[arg-type]  # no run's context is asked
    for error in (KeyError("x"), OSError("once"), KeyError("x")):
        callbacks.after_worker_group_poll_status(poll(UserExceptionWithTraceback(error, "")))
    with pytest.raises(BadInput, match=r"^the training has failed 3 times in the same way: KeyError: 'x'$"):
        callbacks.after_worker_group_poll_status(poll(UserExceptionWithTraceback(KeyError("x"), "")))
    for _ in range(4):
        callbacks.after_worker_group_poll_status(poll(WorkerHealthCheckFailedError("", RuntimeError("again"))))
