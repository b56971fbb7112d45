"""manifest.json: the same bytes when written again, one sentence where there is none, and which code wrote it."""

import subprocess
from importlib.metadata import version
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


def checkout(root: Path, name: str) -> str:
    """A repository of a project with the package in it; returns its commit."""
    (root / "pipelines").mkdir(parents=True)
    (root / "pipelines/code_revision.py").write_text("")
    (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", name)
    return git(root, "rev-parse", "HEAD").strip()


def test_only_ganrnns_own_repository_gives_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = checkout(tmp_path / "own", "ganrnn"), checkout(tmp_path / "other", "theirs")
    installed, copied = tmp_path / "other/.venv/lib/site-packages", tmp_path / "other/vendor"
    for folder in (installed, copied):
        (folder / "pipelines").mkdir(parents=True)
        (folder / "pipelines/code_revision.py").write_text("")
    (copied / "pyproject.toml").write_text('[project]\nname = "ganrnn"\n')
    git(tmp_path / "other", "add", ".")
    git(tmp_path / "other", "commit", "-q", "-m", "all of it")
    for folder in (tmp_path / "other", installed, copied, tmp_path):
        assert revisions.commit_of(folder) == ""
    assert own != other and revisions.commit_of(tmp_path / "own") == own
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))  # as in a hook of the other repository
    assert revisions.commit_of(tmp_path / "own") == own and revisions.commit_of(tmp_path) == ""


def test_an_image_says_what_its_build_wrote_and_an_installation_what_pip_noted(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    assert revisions.written_by_the_build(tmp_path) == ""
    (tmp_path / "pipelines/REVISION").write_text("3f2a9c1\n")
    assert revisions.written_by_the_build(tmp_path) == "3f2a9c1"
    noted = '{"url": "https://example.com/g.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b2c3"}}'
    assert revisions.commit_noted_by_pip(noted) == "0a1b2c3"
    assert revisions.commit_noted_by_pip('{"url": "file:///g", "dir_info": {"editable": true}}') == ""
    assert revisions.commit_noted_by_pip(None) == ""


def test_where_no_commit_is_known_the_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "commit_of", lambda root: "")
    assert revisions.code_revision.__wrapped__() == version("ganrnn")


@pytest.mark.parametrize(
    "change", [{"shards": None}, {"shards": [{"rows": 3}]}, {"shards": [3]}, {"other": 1}, {"totals": ...}]
)
def test_a_damaged_manifest_is_one_sentence(change: dict[str, object], tmp_path: Path) -> None:
    whole = Manifest("ingest", {}, {}, (ManifestShard("a.parquet", 3, "0"),), {}).to_json()
    storage.commit_json(
        str(tmp_path / MANIFEST), {key: value for key, value in (whole | change).items() if value is not ...}
    )
    with pytest.raises(BadInput, match=r"manifest\.json is damaged: .*; run ingest again in another folder"):
        manifests.read(str(tmp_path), "ingest")
