"""A finished data set that was damaged: ingest makes it again, byte for byte, and says what."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ganrnn.errors import BadInput
from pipelines.config.recipe import Recipe
from pipelines.ingest import driver
from pipelines.ingest.driver import ingest, split_of
from tests.pipelines.ingest.datasets import files, recipe, rows, write


@pytest.fixture
def finished(tmp_path: Path) -> Recipe:
    """Shards of five rows."""
    uri = write(tmp_path / "source/a.parquet", rows(60))
    dataset = recipe(tmp_path, source_uri=uri, shard_rows=5)
    ingest(dataset)
    return dataset


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "lost": ("train/00001.parquet", Path.unlink),
    "flipped": ("val/00000.parquet", _flip),
    "truncated": ("train/00000.parquet", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "fewer rows": ("test/00000.parquet", lambda path: pq.write_table(pq.read_table(path).slice(1), path)),
    "of another split": (
        "train/00002.parquet",
        lambda path: path.write_bytes((path.parent.parent / "val/00000.parquet").read_bytes()),
    ),
    "no prompts": ("prompts.parquet", Path.unlink),
    "other prompts": ("prompts.parquet", lambda path: pq.write_table(pq.read_table(path).slice(1), path)),
    "damaged prompts": ("prompts.parquet", lambda path: path.write_bytes(b"PAR1")),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_damaged_is_made_again_and_named(
    case: str, finished: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    before, dataset = files(finished), Path(finished.ingest.dataset_uri)
    name, damage = DAMAGE[case]
    damage(dataset / name)
    times = {path: path.stat().st_mtime_ns for path in dataset.rglob("0*.parquet") if path != dataset / name}
    capfd.readouterr()
    ingest(finished)
    assert files(finished) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times, "what is intact is left alone"
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.endswith("; made again")]
    assert str(dataset) in line and name in line and line.count(".parquet") == 1
    ingest(finished)
    assert "made again" not in capfd.readouterr().err


def test_what_the_source_no_longer_gives_is_refused(finished: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Path(finished.ingest.dataset_uri)
    _flip(dataset / "train/00000.parquet")
    before = files(finished)
    monkeypatch.setattr(driver, "split_of", lambda group, seed, share: split_of(group, seed + 1, share))
    with pytest.raises(BadInput, match=r"train/00000\.parquet has .* cannot be made again, because the source or this"):
        ingest(finished)
    assert files(finished) == before
