"""Trouble on one of two workers sets both back to the same checkpoint. Plain torchrun, without Ray."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import distributed as dist

from ganrnn import checkpoint
from ganrnn.checkpoint import load_sampler
from ganrnn.tasks.text_to_image import TextToImage
from pipelines.cluster.messages import Message, Progress
from pipelines.config.loader import load_recipe
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.worker import train_worker
from tests.pipelines.tiny import NUM_STEPS, ROOT, Run
from tests.pipelines.train.jobs import job_of

BAD_STEP = 35
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


@pytest.mark.slow("starts torchrun")
def test_both_workers_go_back(make_run: Callable[[], Run]) -> None:
    run = make_run()
    settings = [*run.shared, "train.guard.check_every_steps=5"]
    command = [sys.executable, *TORCHRUN, "tests.pipelines.train.test_guard_two_workers", str(run.path()), *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("guard: ")]
    assert len(said) == 1 and "back to step 20, learning rates x 0.25, penalties x 2 until step" in said[0]
    newest = Checkpoints(run.recipe().train.checkpoint_uri, 2).newest()
    assert newest
    files = newest.read(checkpoint.TRAINING_FILES)
    about = checkpoint.verify(files)
    assert (about.step, about.caution["times"]) == (NUM_STEPS, 1)
    networks = load_sampler(files).networks.values()
    assert all(bool(p.isfinite().all()) for network in networks for p in network.parameters())


class Printed:
    """Stands where the queue to the driver is."""

    def put(self, message: Message) -> None:
        """A line for each message that is not progress."""
        if not isinstance(message, Progress):
            print(message.text, flush=True)


def main(path: str, *settings: str) -> None:
    """Train as one of two ranks; on the second, a weight of the generator becomes NaN."""
    dist.init_process_group("gloo")
    step = TextToImage.step

    def poisoned(task: TextToImage, batch: Any) -> dict[str, torch.Tensor]:
        if task.step_index == BAD_STEP and not task.backoff.times and dist.get_rank() == 1:
            with torch.no_grad():
                next(task.generator.parameters()).view(-1)[0] = torch.nan
        return step(task, batch)

    TextToImage.step = poisoned  # type: ignore[method-assign]
    train_worker(job_of(load_recipe(path, settings), Printed()))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
