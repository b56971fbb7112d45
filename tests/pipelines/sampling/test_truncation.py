"""Noise multiplied by generate.sampling.truncation: what it changes, what it is part of, and where it is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganrnn import noise
from ganrnn.checkpoint import load_sampler
from ganrnn.data import images as pictures
from ganrnn.data.conditions import Conditions
from ganrnn.errors import BadInput
from ganrnn.task import Rows
from ganrnn.tasks.image_gan import ImageGan, ImageGanConfig
from jobs.checks.settings import require_settings
from pipelines import storage
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.generate.driver import generate
from pipelines.generate.plan import plan, prompt_files
from pipelines.sampling.model_files import fetch_files
from pipelines.sampling.sample_source import SampleSource, sample_source
from tests.pipelines.mlflow_store import new_store
from tests.pipelines.tiny import contents, write_here

FIXTURES = Path(__file__).parents[2] / "fixtures/1f2d0ad"
CONFIG = ImageGanConfig(
    height=16, width=16, z_dim=6, style_dim=16, feature_dim=16, base_channels=4, condition="label", condition_dim=8
)
ROWS: Rows = {"prompt_id": ["a", "b", "c"], "label": [0, 1, 2]}
KEYS = [(0, "a/0"), (0, "b/0"), (1, "c/0")]


def gan(condition: str = "label", **changes: object) -> ImageGan:
    labels = Conditions.of_labels(range(3)) if condition == "label" else Conditions(0, {}, {})
    return ImageGan(replace(CONFIG, condition=condition, **changes), labels)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of an earlier commit, whose plans know no truncation."""
    copy = Path(shutil.copytree(FIXTURES, tmp_path / "copy"))
    new_store(copy)
    return copy


def recipe_of(folder: Path, name: str = "pictures", *overrides: str) -> Recipe:
    store = (f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db", f"tracking.artifact_uri={folder}/mlartifacts")
    return load_recipe(str(folder / f"{name}.yaml"), [f"run_uri={folder}/{name}", *store, *overrides])


def test_the_noise_of_each_row_is_multiplied() -> None:
    task = gan()
    made = task.sample({**ROWS, "truncation": [1.0, 0.5, 0.25]}, KEYS)
    z = noise.normal(KEYS, 6) * torch.tensor([[1.0], [0.5], [0.25]])
    condition = task.networks["encoder_ema"](task.encode_prompts(ROWS)["values"])
    with torch.no_grad():
        assert torch.equal(made, pictures.to_uint8(task.networks["generator_ema"](z, condition)))
    assert torch.equal(made[:1], task.sample(ROWS, KEYS)[:1]) and not torch.equal(made, task.sample(ROWS, KEYS))


def test_it_is_part_of_the_plan_where_it_is_not_1(folder: Path) -> None:
    recorded = storage.read_json(f"{folder}/pictures/samples/plan.json")
    plans = []
    for overrides in ((), ("generate.sampling.truncation=1",), ("generate.sampling.truncation=0.5",)):
        recipe = recipe_of(folder, "pictures", *overrides)
        (output,) = plan(recipe, prompt_files(recipe)).outputs
        plans.append((output.plan, output.shard_name(0)))
    assert plans[0] == plans[1] == (recorded, "f43b214f9f2e-000000.parquet")
    assert plans[2][0] == recorded | {"truncation": 0.5} and plans[2][1] != plans[0][1]
    before = contents(folder)
    with pytest.raises(BadInput, match="truncation"):
        generate(recipe_of(folder, "pictures", "generate.sampling.truncation=0.5"))
    assert contents(folder) == before


def test_samples_and_reports_of_truncated_noise_say_so(folder: Path) -> None:
    recipe = recipe_of(folder, "pictures", "generate.sampling.truncation=0.5", f"generate.samples_uri={folder}/short")
    (first, *_) = [storage.read_table([uri]).to_pylist()[:8] for uri in write_here(recipe)]
    rows = {"prompt": [row["prompt"] for row in first], "truncation": [0.5] * 8}
    task = load_sampler(fetch_files(recipe.generate.model_uri, recipe.tracking))
    made = task.sample(rows, [(row["seed"], row["sample_id"]) for row in first]).permute(0, 2, 3, 1).numpy()
    assert [row["image"]["bytes"] for row in first] == [pictures.encode_png(image) for image in made]
    digests = []
    for truncation in (1, 0.5):
        overrides = ("evaluate.from_prompts=true", f"generate.sampling.truncation={truncation}")
        digests.append(sample_source(recipe_of(folder, "pictures", *overrides)).digests())
    assert digests[1] == digests[0] | {"truncation": "0.5"} and "truncation" not in digests[0]
    stored = SampleSource("m", "p", "s", None, truncation=0.5)
    assert stored.digests()["truncation"] == "0.5"


@pytest.mark.parametrize("truncation", ["0", "-1", "1.01"])
def test_it_is_above_0_and_1_at_most(truncation: str, folder: Path) -> None:
    with pytest.raises(BadInput, match=r"sampling\.truncation is .*; allowed are values above 0 to 1"):
        recipe_of(folder, "pictures", f"generate.sampling.truncation={truncation}")


@pytest.mark.parametrize(("name", "task"), [("texts", "language_model"), ("judge", "match_judge")])
def test_it_is_refused_where_no_images_are_made(name: str, task: str, folder: Path) -> None:
    recipe = recipe_of(folder, name, "generate.sampling.truncation=0.5")
    before = contents(folder)
    for verb in (require_settings, lambda recipe: plan(recipe, prompt_files(recipe)), generate):
        with pytest.raises(
            BadInput, match=rf"truncation is 0\.5, which shortens the noise of images, and {task} gives"
        ):
            verb(recipe)
    assert contents(folder) == before


def test_it_is_refused_where_the_style_has_one_length_whatever_the_noise(folder: Path) -> None:
    unconditional, label = gan("none").config, gan().config
    assert label.is_truncatable and not unconditional.is_truncatable
    assert replace(unconditional, architecture="residual").is_truncatable
    overrides = ("task.condition=none", "generate.sampling.truncation=0.5")
    recipe = load_recipe("cifar10_classes", [f"run_uri={folder}/none", *overrides])
    with pytest.raises(BadInput, match=r"0\.5, and this model has no condition and scales its noise to one length"):
        require_settings(recipe)
