"""A generation that dies at any of its commits and goes on: nothing is lost or doubled, the bytes are the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.generate.driver import generate
from tests.pipelines import tiny
from tests.pipelines.generate.samples import prompts_of, samples, write
from tests.pipelines.mortal import Death
from tests.pipelines.tiny import Run

NUM_SHARDS = 4
NUM_COMMITS = 2 * NUM_SHARDS + 3  # a receipt and a file for each; plan.json, rejects.parquet, manifest.json


@contextmanager
def dying_at(number: int, when: str) -> Iterator[list[str]]:
    """Die right before or after the rename of a commit; a dead process cleans nothing up. Yields names committed."""
    replace, unlink = Path.replace, Path.unlink
    committed: list[str] = []
    lock = threading.Lock()

    def replace_or_die(part: Path, target: Path) -> Path:
        with lock:
            if when == "before" and len(committed) >= number:
                raise Death
            renamed = replace(part, target)
            committed.append(target.name)
            if when == "after" and len(committed) > number:
                raise Death
        return renamed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_die)
        patch.setattr(
            Path, "unlink", lambda path, missing_ok=False: None if ".part-" in path.name else unlink(path, missing_ok)
        )
        yield committed


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("prompts") / "prompts.parquet", prompts_of(NUM_SHARDS * 5))


def recipe_of(trained: Run, prompts: str, folder: Path) -> Recipe:
    places = (f"generate.prompts_uri={prompts}", f"generate.samples_uri={folder}")
    return trained.recipe(*places, "generate.sampling.shard_rows=5")


@pytest.fixture(scope="module")
def undisturbed(trained: Run, prompts: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "samples"
    with dying_at(NUM_COMMITS, "before") as committed:
        generate(recipe_of(trained, prompts, folder))
    assert len(committed) == NUM_COMMITS and committed[-1] == "manifest.json"
    return tiny.contents(folder, "*.parquet")


@pytest.mark.parametrize("number", range(NUM_COMMITS))
@pytest.mark.parametrize("when", ["before", "after"])
def test_dead_at_a_commit_and_run_again_it_ends_with_the_same_bytes(
    number: int, when: str, trained: Run, prompts: str, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    recipe = recipe_of(trained, prompts, tmp_path / "samples")
    with dying_at(number, when) as committed, pytest.raises(Death):
        generate(recipe)
    whole = tiny.contents(tmp_path, "*.parquet")
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("samples/*-00000*.parquet")}
    assert len(committed) == number + (when == "after")
    assert (tmp_path / "samples/manifest.json").exists() == ("manifest.json" in committed)
    manifest = generate(recipe)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was committed is not made again"
    assert tiny.contents(tmp_path / "samples", "*.parquet") == undisturbed, whole.keys()
    for shard in manifest.shards:
        assert storage.file_digest(f"{tmp_path}/samples/{shard.uri}") == shard.sha256
    assert len({row["sample_id"] for row in samples(tmp_path / "samples")}) == manifest.totals["samples"] == 20
    if "manifest.json" not in committed:
        assert not list(tmp_path.rglob("samples/.*")), "what the dead writer left is removed"
