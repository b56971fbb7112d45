"""Samples that were damaged, before or after the end of a generation: the next run makes them again and says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.generate.driver import generate, generate_increment
from tests.pipelines import tiny
from tests.pipelines.generate.samples import prompts_of, write
from tests.pipelines.tiny import Run

NUM_SHARDS = 6
DAMAGED = 2


@pytest.fixture(scope="module")
def finished(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards of five prompts."""
    folder = tmp_path_factory.mktemp("finished")
    write(folder / "prompts.parquet", prompts_of(5 * NUM_SHARDS))
    generate(recipe_of(trained, folder, folder / "samples"))
    return folder


def recipe_of(trained: Run, finished: Path, samples: Path, *settings: str) -> Recipe:
    uris = (f"generate.prompts_uri={finished}/prompts.parquet", f"generate.samples_uri={samples}")
    return trained.recipe(*uris, "generate.sampling.shard_rows=5", *settings)


def copy(finished: Path, to: Path) -> Path:
    for name, data in tiny.contents(finished / "samples").items():
        storage.commit_bytes(f"{to}/{name}", data)
    return to


def shard(folder: Path, index: int) -> Path:
    (path,) = folder.glob(f"*-{index:06d}.parquet")
    return path


def assert_undamaged(samples: Path, finished: Path) -> None:
    """All files are those of the undisturbed run, but for the folder's own name in the manifest."""
    now, then = tiny.contents(samples), tiny.contents(finished / "samples")
    manifest, expected = (json.loads(files.pop("manifest.json")) for files in (now, then))
    assert now == then
    for key in ("inputs", "shards", "totals", "model_digest"):
        assert manifest[key] == expected[key]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _other_texts(table: pa.Table) -> pa.Table:
    texts = pa.array(["a large blue square"] * table.num_rows)
    return table.set_column(table.schema.get_field_index("prompt"), table.schema.field("prompt"), texts)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "fewer rows": lambda path: _rewrite(path, lambda table: table.slice(0, 3)),
    "a row twice": lambda path: _rewrite(path, lambda table: pa.concat_tables([table, table.slice(0, 1)])),
    "other texts": lambda path: _rewrite(path, _other_texts),
    "a flipped bit": _flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: pq.write_table(pa.table({"x": [1]}), path),
    "its neighbour": lambda path: path.write_bytes(shard(path.parent, DAMAGED + 1).read_bytes()),
}


@pytest.mark.parametrize(
    ("damage", "is_finished"), [*((name, False) for name in DAMAGE), ("fewer rows", True), ("a flipped bit", True)]
)
def test_a_damaged_shard_is_made_again_and_named(
    damage: str,
    is_finished: bool,
    trained: Run,
    finished: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    samples = copy(finished, tmp_path / "samples")
    if not is_finished:
        (samples / "manifest.json").unlink()
        shard(samples, NUM_SHARDS - 1).unlink()
    DAMAGE[damage](shard(samples, DAMAGED))
    intact = [index for index in range(NUM_SHARDS - 1) if index != DAMAGED]
    times = [shard(samples, index).stat().st_mtime_ns for index in intact]
    name = shard(samples, DAMAGED).name
    capfd.readouterr()
    generate(recipe_of(trained, finished, samples))
    assert_undamaged(samples, finished)
    assert [shard(samples, index).stat().st_mtime_ns for index in intact] == times
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.endswith("; made again")]
    assert f"{samples}: {name} has " in line and line.count(".parquet") == 1


def test_what_is_lost_from_a_finished_folder_is_made_again(
    trained: Run, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = copy(finished, tmp_path / "samples")
    names = [shard(samples, index).name for index in (1, 4)]
    for name in names:
        (samples / name).unlink()
    generate(recipe_of(trained, finished, samples))
    assert_undamaged(samples, finished)
    assert f"{samples}: {names[0]} is missing, {names[1]} is missing; made again" in capfd.readouterr().err
    generate(recipe_of(trained, finished, samples))
    assert "made again" not in capfd.readouterr().err


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
def test_a_lost_or_damaged_plan_or_manifest_is_written_again(
    name: str, content: str | None, trained: Run, finished: Path, tmp_path: Path
) -> None:
    samples = copy(finished, tmp_path / "samples")
    if content is None:
        (samples / name).unlink()
    else:
        (samples / name).write_text(content)
    generate(recipe_of(trained, finished, samples))
    assert_undamaged(samples, finished)


@pytest.mark.parametrize("lost", [["plan.json"], ["plan.json", "manifest.json"]])
def test_without_its_plan_a_folder_takes_no_samples_of_another(
    lost: list[str], trained: Run, finished: Path, tmp_path: Path
) -> None:
    samples = copy(finished, tmp_path / "samples")
    for name in lost:
        (samples / name).unlink()
    before = tiny.contents(samples)
    with pytest.raises(BadInput, match=r"seed = 0, now it is 3|-000002\.parquet and 3 more, which this generation"):
        generate(recipe_of(trained, finished, samples, "generate.seed=3"))
    assert tiny.contents(samples) == before


def test_a_file_that_would_be_read_as_samples_is_refused(trained: Run, finished: Path, tmp_path: Path) -> None:
    samples = copy(finished, tmp_path / "samples")
    data, first = shard(samples, 0).read_bytes(), shard(samples, 0).name
    others = ["0123456789ab-000000.parquet", first.replace("-000000", f"-{NUM_SHARDS:06d}")]
    for name in others:
        (samples / name).write_bytes(data)
    with pytest.raises(BadInput, match="which this generation does not write; remove that") as raised:
        generate(recipe_of(trained, finished, samples))
    assert all(name in str(raised.value) for name in others) and first not in str(raised.value)


@pytest.mark.parametrize("content", [None, "{", '{"shard": "of another name", "sha256": "0"}'])
def test_a_shard_without_a_receipt_does_not_count(
    content: str | None, trained: Run, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = copy(finished, tmp_path / "samples")
    (samples / "manifest.json").unlink()
    receipt = samples / f"_receipts/{shard(samples, DAMAGED).name}.json"
    assert json.loads(receipt.read_bytes())["sha256"] == storage.file_digest(str(shard(samples, DAMAGED)))
    if content is None:
        receipt.unlink()
    else:
        receipt.write_text(content)
    generate(recipe_of(trained, finished, samples))
    assert_undamaged(samples, finished)
    assert f"{shard(samples, DAMAGED).name} has no receipt; made again" in capfd.readouterr().err


def test_a_store_that_refuses_is_no_damage(
    trained: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = copy(finished, tmp_path / "samples")
    before = tiny.contents(samples)

    def refuse(uri: str) -> str:
        raise BadInput(f"{uri} cannot be read (403)")

    monkeypatch.setattr(storage, "file_digest", refuse)
    with pytest.raises(BadInput, match=r"cannot be read \(403\)"):
        generate(recipe_of(trained, finished, samples))
    assert tiny.contents(samples) == before


def test_a_finished_folder_of_an_increment_is_repaired_by_its_own_model_alone(
    trained: Run, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts").mkdir()
    write(tmp_path / "prompts/a.parquet", prompts_of(5))
    settings = (f"generate.prompts_uri={tmp_path}/prompts", "generate.incremental=true")
    recipe = recipe_of(trained, finished, tmp_path / "samples", *settings)
    generate_increment(recipe)
    before = tiny.contents(tmp_path / "samples")
    _flip(shard(tmp_path / "samples/a", 0))
    with pytest.raises(BadInput, match=r"was begun with seed = 0, now it is 1"):
        generate_increment(recipe_of(trained, finished, tmp_path / "samples", *settings, "generate.seed=1"))
    assert f"{tmp_path}/samples/a is damaged: {shard(tmp_path / 'samples/a', 0).name} has" in capfd.readouterr().err
    assert len(generate_increment(recipe)) == 1
    assert tiny.contents(tmp_path / "samples") == before
