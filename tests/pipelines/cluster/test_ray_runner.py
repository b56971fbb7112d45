"""What only Ray can show: pools of several actors, refusals on their way to the driver, resources that are not there.

The one file of `make test` that starts Ray: with `--dist loadfile` one process of tests works on it alone.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ganrnn.errors import BadInput, TryAgain
from pipelines.cluster.ray_runner import RayRunner
from pipelines.cluster.runner import WorkerDied, Workers
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.generate.driver import generate
from pipelines.train.driver import train
from tests.pipelines.generate.samples import shards
from tests.pipelines.tiny import Run

pytestmark = pytest.mark.usefixtures("on_ray")


def squares(number: int) -> int:
    if number == 13:
        raise TryAgain("13 is not squared today")
    return number**2


def make_squares() -> Callable[[int], int]:
    return squares


def die(_: int = 0) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@pytest.fixture(scope="module")
def one_process(trained: Run, serial: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The held-out prompts in shards of 5, by this process."""
    folder = tmp_path_factory.mktemp("one_process")
    generate(trained.recipe(f"generate.samples_uri={folder}/samples", "generate.sampling.shard_rows=5"))
    return folder / "samples"


def test_a_pool_of_two_actors_writes_the_bytes_of_one_process(trained: Run, one_process: Path, tmp_path: Path) -> None:
    settings = ["generate.sampling.num_workers=2", "generate.sampling.shard_rows=5"]
    generate(trained.recipe(f"generate.samples_uri={tmp_path}/samples", *settings))
    assert shards(tmp_path / "samples") == shards(one_process) and len(shards(one_process)) == 8


@pytest.mark.slow("three pools of actors")
@pytest.mark.parametrize(
    "pool", [["num_workers=1"], ["num_workers=4", "cpus_per_worker=0.5"], ["num_workers=2", "min_workers=1"]]
)
def test_any_pool_writes_the_bytes_of_one_process(
    pool: list[str], trained: Run, one_process: Path, tmp_path: Path
) -> None:
    settings = [f"generate.sampling.{setting}" for setting in (*pool, "shard_rows=5")]
    generate(trained.recipe(f"generate.samples_uri={tmp_path}/samples", *settings))
    assert shards(tmp_path / "samples") == shards(one_process)


@pytest.mark.parametrize(
    ("verb", "section", "own_folder"),
    [
        (train, "train", "train.checkpoint_uri"),
        (generate, "generate.sampling", "generate.samples_uri"),
        (evaluate, "evaluate", "evaluate.report_uri"),
    ],
)
def test_more_workers_than_the_cluster_holds_are_refused(
    verb: Callable[[Recipe], object], section: str, own_folder: str, trained: Run, one_process: Path, tmp_path: Path
) -> None:
    samples = (f"generate.samples_uri={one_process}", "generate.sampling.shard_rows=5")
    recipe = trained.recipe(*samples, f"{section}.num_workers=4", f"{own_folder}={tmp_path}/none")
    with pytest.raises(BadInput, match=rf"{section}\.num_workers is 4 with 1 CPU each; the cluster has 2 CPU"):
        verb(recipe)
    assert not list(tmp_path.rglob("*.parquet")) and not list(tmp_path.rglob("report.*"))


@pytest.mark.slow("a process that imports everything for one call")
def test_a_task_returns_its_result_and_raises_its_refusal() -> None:
    runner = RayRunner()
    assert runner.run(squares, 12, workers=Workers()) == 144
    with pytest.raises(TryAgain, match="13 is not squared today"):
        runner.run(squares, 13, workers=Workers())


@pytest.mark.slow("kills processes of Ray and starts a pool")
def test_deaths_and_refusals_of_a_pool() -> None:
    runner = RayRunner()
    assert sorted(runner.map(make_squares, range(5), Workers(2))) == [0, 1, 4, 9, 16]
    with pytest.raises(TryAgain, match="13 is not squared today"):
        list(runner.map(make_squares, range(10, 16), Workers(1)))
    with pytest.raises(WorkerDied):
        runner.run(die, workers=Workers())
