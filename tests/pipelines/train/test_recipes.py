"""Every recipe, on its own networks made small: killed at any step and run again, it ends with the same bytes.

In the quick tier one recipe of each task, dead by exceptions in this process; in the slow one all, by SIGKILL.
"""

import random
from pathlib import Path

import pytest
import yaml
from torch.multiprocessing import ProcessExitedException

from ganrnn import checkpoint
from ganrnn.task import task_class
from pipelines import storage
from pipelines.cluster.runner import Workers
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.ingest.driver import ingest
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.worker import train_worker
from tests.pipelines.tiny import ROOT
from tests.pipelines.train.deaths import Killed, train_through_deaths
from tests.pipelines.train.forked import ForkedRunner
from tests.pipelines.train.jobs import job_of, newest_files

RECIPES = sorted((ROOT / "jobs/recipes").rglob("*.yaml"))
DATA = ROOT / "../shared/data"
NUM_STEPS, SAVED_EVERY = 18, 6
SWITCH = NUM_STEPS // 2  # from likelihood to rewards, in text GANs that have pretraining
SMALL = (
    *(f"task.num_steps={NUM_STEPS}", "train.num_workers=1", "train.global_batch_size=8"),
    *(f"train.checkpoint_every_steps={SAVED_EVERY}", "train.sample_every_steps=1000", "train.keep_checkpoints=2"),
    *("train.guard.num_samples=16", "train.guard.check_every_steps=4", "train.log_every_steps=4"),
)
SMALL_TASK = {
    # Adaptive, so that the state of its controller has to come back too.
    "images": ("task.base_channels=4", "task.augmentation={kind: adaptive, probability: 0.3, ramp_images: 500}"),
    "scores": ("task.base_channels=4", "task.embedding_dim=8", "task.dim=8"),
    "texts": ("task.embedding_dim=8", "task.hidden_dim=12", "task.num_tokens=24", "generate.sampling.decoding={}"),
    "pairs": (
        *("task.embedding_dim=8", "task.hidden_dim=12", "task.num_source_tokens=400", "task.num_target_tokens=24"),
        *("generate.sampling.decoding={}", "train.patience=0"),
    ),
}


def small(path: Path, folder: Path, run: str, *more: str) -> Recipe:
    """The recipe with little of everything and more settings; real data is cut to its first rows."""
    raw = yaml.safe_load(path.read_text())
    judges = task_class(raw["task"]["name"]).output_modality == "scores"
    settings = [*SMALL, *SMALL_TASK["scores" if judges else raw["ingest"].get("kind", "images")]]
    if "num_autoencoder_steps" in raw["task"]:  # the players are to come in before it is killed
        settings.append(f"task.num_autoencoder_steps={SAVED_EVERY - 2}")
    if "num_pretraining_steps" in raw["task"]:
        settings.append(f"task.num_pretraining_steps={SWITCH}")
    settings += [*more, f"run_uri={folder}/{run}", f"ingest.dataset_uri={folder}/dataset"]
    store = folder.parent / "mlflow"  # one for all: to make one takes seconds
    settings += [f"tracking.tracking_uri=sqlite:///{store}/mlflow.db", f"tracking.artifact_uri={store}/artifacts"]
    if raw["ingest"]["source"] == "scenes":
        counts = {"num_train": 64, "num_val": 24, "num_test": 8}
        settings += [f"ingest.scenes.{name}={count}" for name, count in counts.items()]
        return load_recipe(str(path), settings)
    for name in ("source_uri", "holdout_uri", "test_uri"):
        if name not in raw["ingest"]:
            continue
        whole = DATA / Path(raw["ingest"][name]).relative_to("data")
        if not whole.exists():
            pytest.skip(f"{whole} is not there")
        part = folder / f"{name}{whole.suffix}"
        if whole.suffix == ".txt":
            part.write_text(whole.read_text()[:20_000])
        else:
            storage.commit_table(str(part), storage.read_table([str(whole)]).slice(0, 100))
        settings.append(f"ingest.{name}={part}")
    return load_recipe(str(path), settings)


def require_the_same(killed: Recipe, straight: Recipe) -> None:
    """All bytes that a training goes on from, and where it is."""
    files, expected = newest_files(killed), newest_files(straight)
    assert {name: files[name] for name in checkpoint.TRAINING_FILES} == {
        name: expected[name] for name in checkpoint.TRAINING_FILES
    }
    about, wanted = checkpoint.verify(files), checkpoint.verify(expected)
    assert about.step == NUM_STEPS and about.position == wanted.position


# Deaths after a checkpoint and between two, so that steps are repeated.
SOME_STEPS = (SAVED_EVERY, SAVED_EVERY + 3, 2 * SAVED_EVERY + 1)
AT_EVERY_STEP = "train.checkpoint_every_steps=1"


@pytest.mark.parametrize(
    ("name", "deaths", "settings"),
    [
        ("demo", SOME_STEPS, ()),
        ("scene_attributes", SOME_STEPS, ()),
        ("scene_edits", SOME_STEPS, ()),
        ("scene_judge", SOME_STEPS, ()),
        ("scene_captions", SOME_STEPS, ()),
        # Its hidden state comes back in the middle of an epoch.
        ("scene_captions", SOME_STEPS, ("task.stream=true",)),
        ("scene_translation", SOME_STEPS, ()),
        ("dreamt_captions", SOME_STEPS, ()),
        # Before, at and after the first step of the discriminator.
        ("reinforced_captions", (SWITCH - 1, SWITCH, SWITCH + 1), (AT_EVERY_STEP,)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dead_at_any_step_it_ends_with_the_same_bytes(
    name: str, deaths: tuple[int, ...], settings: tuple[str, ...], tmp_path: Path
) -> None:
    (path,) = (path for path in RECIPES if path.stem == name)
    straight, killed = (small(path, tmp_path, run, *settings) for run in ("straight", "killed"))
    ingest(straight)
    train_worker(job_of(straight))
    train_through_deaths(killed, deaths)
    require_the_same(killed, straight)


@pytest.mark.slow("trains each of the recipes twice and kills a process for each")
@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_killed_at_any_step_it_ends_with_the_same_bytes(path: Path, tmp_path: Path) -> None:
    straight, killed = (small(path, tmp_path, run) for run in ("straight", "killed"))
    ingest(straight)
    train_worker(job_of(straight))
    step = random.Random(path.stem).randrange(SAVED_EVERY + 1, NUM_STEPS)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        ForkedRunner().train(Killed(0, step), job_of(killed), Workers(1), killed.run_uri, failures=0)
    saved = Checkpoints(killed.train.checkpoint_uri, 2).newest()
    assert saved and saved.step == step // SAVED_EVERY * SAVED_EVERY
    train_worker(job_of(killed))
    require_the_same(killed, straight)
