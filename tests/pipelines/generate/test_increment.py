"""Prompt sets that grow by files; what a schedule and a person ask of the samples afterwards."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ganrnn.data.images import decode, encode_png
from ganrnn.errors import BadInput
from jobs import cli
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.generate.driver import generate, generate_increment
from pipelines.generate.verify import verify
from pipelines.storage import lease
from tests.pipelines import tiny
from tests.pipelines.generate.samples import images, prompts_of, shards, write
from tests.pipelines.tiny import Run

Edit = Callable[[Path], Any]


def day(run: Path, number: int, num_prompts: int) -> None:
    folder = run / f"prompts/day=2026-01-{number:02d}"
    folder.mkdir(parents=True)
    write(folder / "a.parquet", prompts_of(num_prompts, note=[str(number)] * num_prompts))


def recipe_of(trained: Run, run: Path, *settings: str) -> Recipe:
    return trained.recipe(
        f"generate.prompts_uri={run}/prompts",
        f"generate.samples_uri={run}/samples",
        "generate.incremental=true",
        *settings,
    )


def test_only_new_files_are_generated(trained: Run, tmp_path: Path) -> None:
    day(tmp_path, 1, 25)
    day(tmp_path, 2, 5)
    recipe = recipe_of(trained, tmp_path)
    assert [m.totals["samples"] for m in generate_increment(recipe)] == [25, 5]
    first = tiny.contents(tmp_path / "samples")
    assert generate_increment(recipe) == [] and tiny.contents(tmp_path / "samples") == first
    day(tmp_path, 3, 7)
    day(tmp_path, 4, 8)
    later = recipe_of(trained, tmp_path, "generate.where.day=2026-01-04")
    assert [m.totals["samples"] for m in generate_increment(later)] == [8]
    later = recipe_of(trained, tmp_path, "generate.since.day=2026-01-03")
    assert [m.totals["samples"] for m in generate_increment(later)] == [7]
    there = tiny.contents(tmp_path / "samples")
    assert {name: there[name] for name in first} == first
    files = sorted(map(str, tmp_path.glob("samples/day=*/a/*-*.parquet")))
    table = pq.read_table(
        files, partitioning="hive", filters=[("day", "=", "2026-01-03")]
    )  # partitions stay partitions
    assert table.column("note").to_pylist() == ["3"] * 7
    # One by one or together, a row is the same row.
    whole = tmp_path / "whole"
    generate(trained.recipe(f"generate.prompts_uri={tmp_path}/prompts/day=2026-01-01", f"generate.samples_uri={whole}"))
    assert images(whole) == images(tmp_path / "samples/day=2026-01-01/a")


def test_who_reads_one_folder_refuses_many(trained: Run, tmp_path: Path) -> None:
    day(tmp_path, 1, 5)
    with pytest.raises(BadInput, match="only `ganrnn generate` takes that"):
        generate(recipe_of(trained, tmp_path))
    assert not (tmp_path / "samples").exists()


def test_a_second_driver_is_refused_by_the_name_of_the_first(trained: Run, finished: Path, tmp_path: Path) -> None:
    recipe = copy_of(trained, finished, tmp_path / "samples")
    (tmp_path / "samples/manifest.json").unlink()
    before = tiny.contents(tmp_path)
    with (
        lease.hold(recipe.generate.samples_uri),
        pytest.raises(BadInput, match=f"worked on by process {os.getpid()} on"),
    ):
        generate(recipe)
    assert tiny.contents(tmp_path) == before
    assert generate(recipe).totals["samples"] == 60


def test_a_file_that_changed_after_it_was_done_is_refused(trained: Run, tmp_path: Path) -> None:
    day(tmp_path, 1, 5)
    generate_increment(recipe_of(trained, tmp_path))
    before = tiny.contents(tmp_path / "samples")
    write(tmp_path / "prompts/day=2026-01-01/a.parquet", prompts_of(9))
    with pytest.raises(BadInput, match=r"day=2026-01-01/a\.parquet has \d+ bytes and had \d+ when .* new file"):
        generate_increment(recipe_of(trained, tmp_path))
    assert tiny.contents(tmp_path / "samples") == before


@pytest.fixture(scope="module")
def finished(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    uri = write(folder / "prompts.parquet", prompts_of(60))
    generate(trained.recipe(f"generate.prompts_uri={uri}", f"generate.samples_uri={folder}/samples"))
    return folder


def copy_of(trained: Run, finished: Path, to: Path, *settings: str) -> Recipe:
    for name, data in tiny.contents(finished / "samples").items():
        storage.commit_bytes(f"{to}/{name}", data)
    uris = (f"generate.prompts_uri={finished}/prompts.parquet", f"generate.samples_uri={to}")
    return trained.recipe(*uris, "generate.verify_share=1", *settings)


def test_verify_hashes_all_and_makes_a_share_again(trained: Run, finished: Path, tmp_path: Path) -> None:
    recipe = copy_of(trained, finished, tmp_path / "samples")
    before = tiny.contents(tmp_path)
    counts = {"shards": 3, "rows": 60, "shards_made_again": 3, "rows_made_again": 60, "rows_rounded": 0}
    assert verify(recipe) == counts
    assert verify(copy_of(trained, finished, tmp_path / "samples", "generate.verify_share=0")) == counts | {
        "shards_made_again": 0,
        "rows_made_again": 0,
    }
    assert tiny.contents(tmp_path) == before


def _repaint(folder: Path, levels: int) -> None:
    """Change a pixel of a row, with a manifest that agrees."""
    path = sorted(folder.glob("*-000001.parquet"))[0]
    table = pq.read_table(path)
    rows = table.to_pylist()
    pixels = np.array(decode(rows[3]["image"]["bytes"]))
    pixels[0, 0, 0] = pixels[0, 0, 0] + levels if pixels[0, 0, 0] < 128 else pixels[0, 0, 0] - levels
    rows[3]["image"]["bytes"] = encode_png(pixels)
    digest = storage.commit_table(str(path), type(table).from_pylist(rows, table.schema))
    manifest = storage.read_json(f"{folder}/manifest.json")
    manifest["shards"][1] |= {"sha256": digest, "bytes": path.stat().st_size}
    storage.commit_json(f"{folder}/manifest.json", manifest)


def _flip(folder: Path) -> None:
    path = sorted(folder.glob("*-000002.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Edit, str]] = {
    "flipped": (_flip, r"-000002\.parquet has sha256 .*; run generate again, which makes damaged"),
    "missing": (lambda p: sorted(p.glob("*-000002.parquet"))[0].unlink(), r"samples lacks .*-000002\.parquet"),
    "more": (lambda p: write(p / "zz.parquet", prompts_of(2)), r"has, beside its manifest, zz\.parquet"),
    "repainted": (lambda p: _repaint(p, 2), "is not what this model makes of its prompts"),
    "unfinished": (lambda p: (p / "manifest.json").unlink(), r"holds no manifest\.json; generate has not finished"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_verify_finds(trained: Run, finished: Path, tmp_path: Path, case: str) -> None:
    recipe = copy_of(trained, finished, tmp_path / "samples")
    damage, message = DAMAGE[case]
    damage(tmp_path / "samples")
    with pytest.raises(BadInput, match=message):
        verify(recipe)


def test_verify_names_every_damaged_shard(trained: Run, finished: Path, tmp_path: Path) -> None:
    recipe = copy_of(trained, finished, tmp_path / "samples")
    paths = sorted((tmp_path / "samples").glob("*-00000*.parquet"))
    for path in paths[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput) as raised:
        verify(recipe)
    assert [path.name in str(raised.value) for path in paths] == [True, True, False]


def test_verify_makes_at_least_one_shard_again(trained: Run, finished: Path, tmp_path: Path) -> None:
    assert (
        verify(copy_of(trained, finished, tmp_path / "samples", "generate.verify_share=1e-9"))["rows_made_again"] == 20
    )


def test_verify_allows_the_rounding_of_another_machine(trained: Run, finished: Path, tmp_path: Path) -> None:
    recipe = copy_of(trained, finished, tmp_path / "samples")
    _repaint(tmp_path / "samples", 1)
    assert verify(recipe)["rows_rounded"] == 1


def test_verify_refuses_another_seed(trained: Run, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="was begun with seed = 0, now it is 1; give the recipe that made it"):
        verify(copy_of(trained, finished, tmp_path / "samples", "generate.seed=1"))


def status_of(uri: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["ganrnn", "status", str(uri)])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr()
    return (said.out + said.err).splitlines()


def test_status_from_files_alone(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "samples"
    assert status_of(folder, monkeypatch, capsys) == [
        f"ganrnn: {folder} holds no plan.json; give the samples_uri of a generation"
    ]
    there = tiny.contents(finished / "samples")
    storage.commit_bytes(f"{folder}/plan.json", there["plan.json"])
    idle = "no driver is running; run the same command again to resume"
    assert status_of(folder, monkeypatch, capsys) == [f"{folder}: 0 of 60 prompts (0.0%)", idle]
    for number, name in enumerate(sorted(shards(finished / "samples"))[:2]):
        storage.commit_bytes(f"{folder}/{name}", there[name])
        os.utime(folder / name, (1000 + 4 * number, 1000 + 4 * number))
    assert status_of(folder, monkeypatch, capsys) == [
        f"{folder}: 40 of 60 prompts (66.7%), 5.0 prompts/s, 0:00:04 left",
        idle,
    ]
    assert status_of(finished / "samples", monkeypatch, capsys) == [
        f"{finished}/samples: 60 of 60 prompts (100.0%), finished: prompts 60, rejects 0, samples 60, unknown_tokens 80"
    ]
