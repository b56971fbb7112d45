"""Every system learns by two ranks too, and goes on from a death as if there had been none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch.multiprocessing import ProcessExitedException

from pipelines.cluster.runner import Workers
from tests.pipelines import tiny
from tests.pipelines.systems.systems import SYSTEMS
from tests.pipelines.tiny import Run
from tests.pipelines.train.deaths import Killed
from tests.pipelines.train.forked import ForkedRunner, train_forked
from tests.pipelines.train.jobs import job_of


@pytest.mark.slow("trains each system twice by processes of their own")
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "text_to_image"])  # see train/test_train.py
def test_two_ranks_one_of_which_is_killed_end_with_the_same_bytes(
    name: str, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    run = run_of(name)
    dataset = f"ingest.dataset_uri={run.recipe().ingest.dataset_uri}"
    settings = [dataset, "train.num_workers=2", "train.checkpoint_every_steps=8", "task.num_steps=20"]
    if name == "sequence_gan":
        settings.append("task.num_pretraining_steps=10")  # so that the death lies in the adversarial part
    straight, killed = (run.recipe(*settings, f"run_uri={tmp_path}/{folder}") for folder in ("straight", "killed"))
    train_forked(straight)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        ForkedRunner().train(Killed(1, step=13), job_of(killed), Workers(2), killed.run_uri, failures=0)
    train_forked(killed)
    assert tiny.last_checkpoint(killed) == tiny.last_checkpoint(straight)
