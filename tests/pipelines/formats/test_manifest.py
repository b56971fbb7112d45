"""manifest.json: the same bytes when written again, one sentence where there is none, and which code wrote it."""

import subprocess
from pathlib import Path

import pytest

from ganrnn.errors import BadInput
from pipelines import code_revision as revisions
from pipelines import storage
from pipelines.formats import manifest as manifests
from pipelines.formats.manifest import MANIFEST, Manifest, ManifestShard

FIXTURES = Path(__file__).parents[2] / "fixtures/1f2d0ad"
WRITTEN = [("pictures/dataset", "ingest"), ("texts/samples", "generate"), ("judge/samples", "generate")]


@pytest.mark.parametrize(("folder", "verb"), WRITTEN)
def test_a_manifest_is_written_again_with_the_same_bytes(folder: str, verb: str, tmp_path: Path) -> None:
    digest = manifests.commit(str(tmp_path), manifests.read(f"{FIXTURES}/{folder}", verb))
    assert (tmp_path / MANIFEST).read_bytes() == (FIXTURES / folder / MANIFEST).read_bytes()
    assert digest == storage.file_digest(f"{FIXTURES}/{folder}/{MANIFEST}")


def test_fields_of_other_verbs_are_left_out() -> None:
    samples = ManifestShard("a.parquet", 3, "d1", num_bytes=70)
    assert samples.to_json() == {"uri": "a.parquet", "rows": 3, "sha256": "d1", "bytes": 70}
    dataset = ManifestShard("train/0.parquet", 2, "d2", "train")
    assert dataset.to_json() == {"uri": "train/0.parquet", "rows": 2, "sha256": "d2", "split": "train"}
    assert [ManifestShard.from_json(shard.to_json()) for shard in (samples, dataset)] == [samples, dataset]


def test_what_other_verbs_read() -> None:
    dataset = manifests.read(f"{FIXTURES}/pictures/dataset", "ingest")
    assert (dataset.dataset_kind, dataset.scenes_kind) == ("images", "captions")
    assert len(dataset.dataset_digest) == 64 and "dataset_digest" not in dataset.counts and dataset.counts["train"] > 0
    samples = manifests.read(f"{FIXTURES}/judge/samples", "generate")
    assert samples.choice is None and len(samples.prompts_digest) == 64


def test_one_sentence_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"^{tmp_path}/manifest\.json does not exist; run generate first$"):
        manifests.read(str(tmp_path), "generate")
    with pytest.raises(BadInput, match=r"manifest\.json does not exist; run ingest first, or set a key$"):
        manifests.read(str(tmp_path), "ingest", "or set a key")
    manifests.commit(str(tmp_path), Manifest("generate", {}, {}, (), {}))
    with pytest.raises(BadInput, match=r"is not a manifest of ingest: its verb is 'generate'; give the folder"):
        manifests.read(str(tmp_path), "ingest")


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_file_has_the_commit_of_the_repository_that_tracks_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    installed = tmp_path / ".venv/lib/pipelines/code_revision.py"
    installed.parent.mkdir(parents=True)
    for path in (tmp_path / "own.py", installed):
        path.write_text("")
    git(tmp_path, "add", "own.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert revisions.commit_of(tmp_path / "own.py") == git(tmp_path, "rev-parse", "HEAD").strip()
    assert revisions.commit_of(installed) == ""


def test_installed_into_an_environment_of_another_project_the_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "commit_of", lambda path: "")
    assert revisions.code_revision.__wrapped__() == revisions.version("ganrnn")
