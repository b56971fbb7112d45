"""Files that appear whole or not at all, on the local disk and in a store, and the sentences for what goes wrong."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.storage import files

TABLE = pa.table({"id": [str(i) for i in range(1000)], "value": range(1000)})


def fail(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Crash(BaseException):
    """Stands for the death of the process: nothing may catch it."""


def crash(*_: Any, **__: Any) -> Any:
    raise Crash


@pytest.fixture(params=["path", "file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same promises for a plain path, file:// and a store without folders."""
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
    return {"path": str(tmp_path), "file": f"file://{tmp_path}", "memory": "memory://bucket/run"}[request.param]


def test_what_was_committed_is_read_back_with_its_digest(folder: str) -> None:
    uri = storage.join(folder, "a/b.bin")
    assert not storage.exists(uri)
    assert storage.commit_bytes(uri, b"red") == "b1f51a511f1da0cd348b8f8598db32e61cb963e5fc69e2b41485bf99590ed75a"
    assert storage.exists(uri)
    assert storage.read_bytes(uri) == b"red"
    storage.commit_bytes(uri, b"blue")
    assert storage.read_bytes(uri) == b"blue"
    with storage.open_binary(uri) as file:
        assert file.read(2) == b"bl"


def test_json_is_the_same_bytes_for_the_same_value(folder: str) -> None:
    uri = storage.join(folder, "m.json")
    digest = storage.commit_json(uri, {"b": 1, "a": "圆形"})
    assert storage.commit_json(uri, {"a": "圆形", "b": 1}) == digest
    assert storage.read_bytes(uri).decode() == '{\n  "a": "圆形",\n  "b": 1\n}\n'
    assert storage.read_json(uri) == {"a": "圆形", "b": 1}


def test_tables_have_row_groups_and_pandas_reads_them(tmp_path: Path) -> None:
    uri = str(tmp_path / "t.parquet")
    digest = storage.commit_table(uri, TABLE, row_group_rows=300)
    assert storage.open_parquet(uri).metadata.num_row_groups == 4
    assert pd.read_parquet(uri)["value"].tolist() == list(range(1000))
    assert storage.read_table([uri, uri], ["value"]).num_rows == 2000
    assert storage.commit_table(str(tmp_path / "u.parquet"), TABLE, row_group_rows=300) == digest


def test_files_are_listed_sorted_without_hidden_ones(folder: str) -> None:
    for name in ("b.txt", "a/c.txt", "a/.c.txt.part-1", "_tmp/d.txt", ".hidden", "a/e.csv"):
        storage.commit_bytes(storage.join(folder, name), b"x")
    files = storage.list_files(folder)
    assert [storage.relative(file, folder) for file in files] == ["a/c.txt", "a/e.csv", "b.txt"]
    assert [storage.read_bytes(file) for file in files] == [b"x"] * 3
    assert [storage.relative(f, folder) for f in storage.list_files(folder, ".csv")] == ["a/e.csv"]
    assert storage.list_files(storage.join(folder, "b.txt"))[0].endswith("/b.txt")
    assert storage.list_files(storage.join(folder, "none")) == []
    assert "a" in storage.list_folders(folder)
    assert storage.list_folders(storage.join(folder, "none")) == []
    storage.delete_folder(storage.join(folder, "a"))
    storage.delete_folder(storage.join(folder, "none"))
    assert [storage.relative(f, folder) for f in storage.list_files(folder)] == ["b.txt"]


def test_what_is_not_listed_is_told_and_case_does_not_count_in_an_ending(folder: str) -> None:
    for name in ("a.txt", "B.TXT", "c.csv", ".hidden.txt", "_d/e.txt"):
        storage.commit_bytes(storage.join(folder, name), b"x")
    files = storage.list_files(folder, ".txt")
    assert [storage.relative(file, folder) for file in files] == ["B.TXT", "a.txt"]
    others = [storage.relative(file, folder) for file in storage.list_others(folder, files)]
    assert others == [".hidden.txt", "_d/e.txt", "c.csv"]
    with pytest.raises(BadInput, match=r"none\.txt does not exist; check --source$"):
        storage.read_bytes(storage.join(folder, "none.txt"), if_missing="check --source")


def test_pipes_are_no_files_and_links_are_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder", "pipe", "nothing"):
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    assert [Path(uri).name for uri in storage.list_files(str(tmp_path))] == ["file", "to-file", "to-nothing"]


def test_a_folder_of_files_is_written_with_the_named_one_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    commit = storage.commit_bytes

    def recorded(uri: str, data: bytes) -> str:
        written.append(uri)
        return commit(uri, data)

    monkeypatch.setattr(files, "commit_bytes", recorded)
    digests = storage.commit_files(str(tmp_path), {"config.json": b"1", "a": b"2", "b": b"3"}, last="config.json")
    assert [Path(uri).name for uri in written] == ["a", "b", "config.json"]
    assert digests.keys() == {"config.json", "a", "b"}


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_full_disk_leaves_the_old_file_and_no_part(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "a.bin")
    storage.commit_bytes(uri, b"old")
    owner = os if call == "fsync" else Path
    with monkeypatch.context() as patched:
        patched.setattr(owner, call, fail)
        with pytest.raises(BadInput, match=r"a\.bin cannot be written \(no space left on device\); free space"):
            storage.commit_bytes(uri, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert storage.read_bytes(uri) == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_process_that_dies_while_writing_leaves_no_target(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os if call == "fsync" else Path, call, crash)
        # A dead process cleans nothing up.
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Crash):
            storage.commit_bytes(str(tmp_path / "a.bin"), b"new")
    assert len(list(tmp_path.iterdir())) == 1
    assert storage.list_files(str(tmp_path)) == []


def test_a_store_that_loses_bytes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = fsspec.filesystem("memory")
    pipe = fs.pipe_file
    monkeypatch.setattr(type(fs), "pipe_file", lambda self, path, data, **_: pipe(path, data[:-1]))
    with pytest.raises(BadInput, match="holds 2 bytes after 3 were written"):
        storage.commit_bytes("memory://bucket/a", b"new")


def test_a_store_without_credentials_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for ask in (storage.exists, storage.list_files, storage.read_bytes, storage.open_parquet):
        with pytest.raises(BadInput, match=r"s3://bucket/x cannot be read.*credentials"):
            ask("s3://bucket/x")
    with pytest.raises(BadInput, match=r"s3://bucket/x cannot be written \(Unable to locate credentials\)"):
        storage.commit_bytes("s3://bucket/x", b"x")


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda p: storage.read_bytes(f"{p}/none"), "none does not exist; check the path"),
        (lambda p: storage.read_json(f"{p}/none"), "none does not exist; check the path"),
        (lambda p: storage.open_binary(f"{p}/none"), "none does not exist; check the path"),
        (lambda p: storage.read_bytes(f"{p}/folder"), "folder cannot be read"),
        (lambda p: storage.read_json(f"{p}/half.json"), r"half\.json is not JSON .*it may be truncated"),
        (lambda p: storage.open_parquet(f"{p}/none"), "none cannot be read as Parquet"),
        (lambda p: storage.open_parquet(f"{p}/empty"), "empty cannot be read as Parquet"),
        (lambda p: storage.open_parquet(f"{p}/half.json"), "cannot be read as Parquet"),
        (lambda p: storage.open_parquet(f"{p}/cut.parquet"), r"cut\.parquet cannot be read as Parquet"),
        (lambda p: storage.read_table([f"{p}/rotten.parquet"]), r"rotten\.parquet cannot be read as Parquet"),
        (lambda p: storage.read_table([f"{p}/t.parquet"], ["no"]), "has no column 'no'; it has id, value"),
        (lambda p: storage.commit_bytes(f"{p}/empty/a", b""), "empty/a cannot be written"),
        (lambda _: storage.exists("s4://bucket/a"), "s4://bucket/a is no readable URI .*allowed are paths, file://"),
        (lambda _: storage.commit_bytes("s4://bucket/a", b""), "s4://bucket/a is no readable URI"),
    ],
)
def test_trouble_is_one_sentence_with_the_uri(ask: Callable[[Path], Any], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "half.json").write_text('{"a": ')
    storage.commit_table(str(tmp_path / "t.parquet"), TABLE)
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "rotten.parquet").write_bytes(whole[:4] + b"\xff" * 1000 + whole[1004:])
    with pytest.raises(BadInput, match=sentence) as error:
        ask(tmp_path)
    assert "\n" not in str(error.value)


def test_paths_become_absolute_and_uris_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/../b") == f"{tmp_path}/b"
    assert storage.absolute("file:///a/b") == "/a/b"
    assert storage.absolute_database("sqlite:///m.db") == f"sqlite:///{tmp_path}/m.db"
    for uri in ("https://host/x", "postgresql+psycopg2://h/d", "sqlite:////a.db"):
        assert storage.absolute_database(uri) == uri
    assert storage.absolute("s3://bucket/a") == "s3://bucket/a"
    assert storage.join("s3://bucket/a/", "b", "") == "s3://bucket/a/b"
