"""Prompts that fail, kill or starve the model: found and set aside; the rest has the bytes that it always has."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganrnn.data.images import decode
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.session import using
from pipelines.formats.manifest import Manifest
from pipelines.generate.driver import generate
from pipelines.sampling.sampler import ModelSampler
from tests.pipelines.generate.samples import images, prompts_of, write
from tests.pipelines.generate.site.harm import harmed
from tests.pipelines.mortal import Death, MortalRunner
from tests.pipelines.tiny import Run

NUM = 60


def run_of(trained: Run, folder: Path, harm: dict[int, str], *settings: str) -> Manifest:
    """Generate 60 prompts of which some are harmful, {row: word}; returns the manifest."""
    columns = prompts_of(NUM)
    for row, word in harm.items():
        columns["prompt"][row] += f" {word}"
    folder.mkdir()
    uri = write(folder / "prompts.parquet", columns)
    places = (f"generate.prompts_uri={uri}", f"generate.samples_uri={folder}/samples")
    return generate(trained.recipe(*places, "generate.sampling.num_workers=2", *settings))


def die() -> None:
    raise Death


@pytest.fixture(autouse=True)
def harm(sound: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of this process is harmed as those of Ray's workers are."""
    monkeypatch.setattr(ModelSampler, "_micro_batch", harmed(ModelSampler._micro_batch, die))


@pytest.fixture(scope="module")
def sound(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound") / "run"
    run_of(trained, folder, {})
    return images(folder / "samples")


def rejects(folder: Path) -> dict[str, str]:
    rows = storage.read_table([f"{folder}/samples/rejects.parquet"]).to_pylist()
    return {row["id"]: row["reason"] for row in rows}


def test_prompts_that_the_model_fails_on_are_set_aside(trained: Run, sound: dict[str, bytes], tmp_path: Path) -> None:
    manifest = run_of(trained, tmp_path / "run", {3: "RAISE", 17: "RAISE", 45: "RAISE"})
    assert rejects(tmp_path / "run") == dict.fromkeys(
        ("p003", "p017", "p045"), "the model fails on it: ValueError: no such word"
    )
    made = images(tmp_path / "run/samples")
    assert made == {i: picture for i, picture in sound.items() if i not in ("p003/0", "p017/0", "p045/0")}
    assert manifest.totals == {"samples": 57, "prompts": 60, "rejects": 3, "unknown_tokens": 76}


def require_one_is_found(trained: Run, sound: dict[str, bytes], folder: Path) -> None:
    run_of(trained, folder, {25: "KILL"}, "generate.sampling.shard_rows=8")
    assert rejects(folder) == {"p025": "the sampler's process dies on it"}
    assert images(folder / "samples") == {i: image for i, image in sound.items() if i != "p025/0"}


def test_prompts_that_kill_the_process_are_found_and_set_aside(
    trained: Run, sound: dict[str, bytes], tmp_path: Path
) -> None:
    with using(MortalRunner()):
        require_one_is_found(trained, sound, tmp_path / "run")


class FailingRunner(MortalRunner):
    """Its pool returns nothing, and its tasks raise what a list says, one after the other; then they work."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors

    def map(self, *arguments: Any, **options: Any) -> Generator[Any, None, None]:
        """As where each task has failed."""
        yield from ()

    def run(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Fail, or do it."""
        if self.errors:
            raise self.errors.pop(0)
        return super().run(function, *arguments, **options)


def test_a_failure_that_repeats_itself_is_told_as_what_it_is(trained: Run, tmp_path: Path) -> None:
    again, other = KeyError("no such column"), OSError("once\nonly")
    with (
        using(FailingRunner([again, other, again, again])),
        pytest.raises(BadInput, match=r"-000000\.parquet cannot be made; it failed 3 times .*: KeyError: 'no such col"),
    ):
        run_of(trained, tmp_path / "run", {})
    with using(FailingRunner([again, other, again])):
        assert run_of(trained, tmp_path / "luck", {}).totals["samples"] == NUM
    with using(FailingRunner([BadInput("as it is")])), pytest.raises(BadInput, match=r"^as it is$"):
        run_of(trained, tmp_path / "bad", {})
    with using(FailingRunner([ValueError(k) for k in range(6)])), pytest.raises(ValueError, match=r"^5$"):
        run_of(trained, tmp_path / "worse", {})


@pytest.mark.slow("kills actors and tasks of Ray")
def test_prompts_that_kill_processes_of_ray_are_found_and_set_aside(
    on_ray: None, trained: Run, sound: dict[str, bytes], tmp_path: Path
) -> None:
    require_one_is_found(trained, sound, tmp_path / "run")


def test_without_memory_the_micro_batch_is_halved(trained: Run, sound: dict[str, bytes], tmp_path: Path) -> None:
    run_of(trained, tmp_path / "run", {25: "GREEDY"}, "generate.sampling.micro_batch_size=64")
    made = images(tmp_path / "run/samples")
    assert rejects(tmp_path / "run") == {} and made.keys() == sound.keys()
    for i, picture in sound.items():
        if i == "p025/0":  # painted from another prompt
            continue
        levels = [np.asarray(decode(png), np.int16) for png in (picture, made[i])]
        assert np.abs(levels[0] - levels[1]).max() <= 1, i


def test_too_many_of_them_end_the_run(trained: Run, tmp_path: Path) -> None:
    harm = dict.fromkeys(range(0, NUM, 4), "RAISE")
    with pytest.raises(BadInput, match=r"prompts have no samples; generate\.max_reject_share allows 0\.2"):
        run_of(trained, tmp_path / "run", harm)
    assert not (tmp_path / "run/samples/manifest.json").exists()
