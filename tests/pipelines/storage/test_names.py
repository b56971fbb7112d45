"""A name is a name: no character of a path is a pattern, an escape, a scheme or the joint of a chain of URLs."""

import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from ganrnn.errors import BadInput
from pipelines import storage

TABLE = pa.table({"id": ["a", "b"]})
NAMES = [
    "run[12]",
    "run*",
    "run?",
    "**",
    "a::b",
    "::",
    "a b",
    " a",
    "a%20b",
    "%",
    "a#b",
    "exp:1",
    "{a,b}",
    "a;b",
    "$a$",
]
NAMES += ["~", "~a", "a\\b", "a\nb", "file:a", "local:a", "s3:", "simplecache::a", "[!a]", "x?versionId=1", "ü", "!(a)"]


@pytest.fixture(params=["path", "file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    fsspec.filesystem("memory").store.clear()
    return {"path": str(tmp_path), "file": f"file://{tmp_path}", "memory": "memory://bucket/n"}[request.param]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_written_listed_read_and_removed_alone(name: str, folder: str) -> None:
    neighbours = [f"{folder}/{neighbour}/x.json" for neighbour in ("a", "aab", "b", "run", "run1", "run2", "x")]
    for uri in neighbours:
        storage.commit_bytes(uri, b"{}")
    uris = [f"{folder}/{name}/{name}/{name}.parquet", f"{folder}/{name}/{name}.parquet"]
    for uri in uris:
        assert storage.commit_table(uri, TABLE) == storage.file_digest(uri)
    below = f"{folder}/{name}"
    # A URI of memory has one slash more where it is listed.
    assert {storage.relative(uri, below) for uri in storage.list_files(below)} == {
        f"{name}/{name}.parquet",
        f"{name}.parquet",
    }
    assert storage.list_folders(below) == [name]
    assert storage.RowGroups(uris[0]).read(0) == storage.read_table(storage.list_files(below)[:1]) == TABLE
    assert storage.read_bytes(storage.join(below, name, f"{name}.parquet")) == storage.open_binary(uris[1]).read()
    storage.delete_file(uris[1])
    assert storage.exists(uris[0]) and not storage.exists(uris[1])
    storage.delete_folder(below)
    assert len(storage.list_files(folder)) == len(neighbours) and not storage.exists(uris[0])


@pytest.mark.parametrize("name", ["set::2", "exp:1", "run[12]", "50% #1?", "~"])
def test_the_working_folder_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    for uri in (storage.absolute(f"./{name}/a"), f"{name}/a") if name != "~" else (storage.absolute("./~/a"),):
        storage.commit_bytes(uri, uri.encode())
        assert (tmp_path / name / name / "a").read_bytes() == uri.encode()


def test_removing_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    storage.delete_folder(f"{tmp_path}/link")
    assert os.listdir(tmp_path) == ["own"] and os.listdir(tmp_path / "own") == ["a"]


def test_only_parts_of_this_project_are_removed(tmp_path: Path) -> None:
    for name in (".mine.part-1", ".a.parquet.part-" + "0" * 32, "b.part-" + "0" * 32):
        (tmp_path / name).touch()
    storage.delete_unfinished(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".mine.part-1", "b.part-" + "0" * 32]


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("s3:/b/x", "neither a URI nor a path"),
        ("s3:b/x", "neither a URI nor a path"),
        ("S3A:/b", "neither a URI nor a path"),
        ("file:x", "neither a URI nor a path"),
        ("file:/x", "neither a URI nor a path"),
        ("abc:/x", "neither a URI nor a path"),
        ("C:\\data", "neither a URI nor a path"),
        ("models:/m@c", "neither a URI nor a path"),
        ("file://host/x", "another host"),
        ("file://x", "another host"),
        ("file://", "another host"),
        ("hf://a/b", "scheme hf:// is not known"),
        ("gs://a/b", "scheme gs:// is not known"),
        ("memory://a", "scheme memory:// is not known"),
        ("simplecache::s3://b/x", "URI only after its beginning"),
        (" s3://b/x", "URI only after its beginning"),
        ("$HOME/x", r"\$HOME is no folder"),
        ("${HOME}/x", r"\$\{HOME\} is no folder"),
        ("/data/$USER/x", r"\$USER is no folder"),
        ("~nobody-of-this-name/x", "user who is not known"),
        ("s3://", "'' is no bucket"),
        ("s3:///b/x", "'' is no bucket"),
        ("s3://$BUCKET/x", r"'\$BUCKET' is no bucket"),
        ("s3://b*/x", r"'b\*' is no bucket"),
        ("s3://b/$USER/x", r"\$USER stands"),
        ("s3://b//x", "empty first part"),
        ("s3://b/a/../x", "does not resolve"),
        ("a\0b", "not UTF-8 or that no file name has"),
        ("a\udcffb", "not UTF-8 or that no file name has"),
    ],
)
def test_what_only_looks_like_a_uri_is_refused(uri: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as error:
        storage.absolute(uri, "run_uri")
    assert str(error.value).startswith(f"run_uri is {uri!r}, ") and "\n" not in str(error.value)


def test_other_uris_are_taken_to_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("exp:1", "a::b", "lr=[0.1]", "50%20", "a#b?c", "cost$", "a:b/c:d", "x@best"):
        assert storage.absolute(name) == f"{tmp_path}/{name}"
        assert storage.absolute(f"S3://b/{name}") == storage.absolute(f"s3://b/{name}") == f"s3://b/{name}"
    (tmp_path / "$a").mkdir()
    assert storage.absolute("$a/b") == f"{tmp_path}/$a/b"
    assert storage.absolute("./s3:/x") == f"{tmp_path}/s3:/x"
    assert storage.absolute("file://localhost/a%20b") == storage.absolute("FILE:///a%20b") == "/a%20b"
    assert storage.absolute("~/a") == os.path.expanduser("~/a")


def test_what_only_begins_like_a_folder_is_not_within_it() -> None:
    assert storage.is_within("/runs/a", "/runs/a/") and storage.is_within("/runs/a/b.parquet", "/runs/a")
    assert storage.is_within("s3://bucket/a/b", "s3://bucket/a")
    assert not storage.is_within("/runs/ab/prompts.parquet", "/runs/a")
    assert not storage.is_within("models:/a@champion", "/runs/a")
