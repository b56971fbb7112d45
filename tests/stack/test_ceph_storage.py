"""pipelines/storage.py on a store that checks credentials, enforces conditions and quotas, and survives a restart."""

import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import boto3
import fsspec
import pyarrow as pa
import pyarrow.fs
import pytest
from botocore.exceptions import ClientError

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.storage import s3
from tests.stack import ceph as stack
from tests.stack.ceph import CephGateway
from tests.stack.debian import Unavailable

pytestmark = pytest.mark.slow("downloads and starts a Ceph gateway")
TABLE = pa.table({"id": [str(i) for i in range(1000)], "value": range(1000)})
THREADS = 8
ROUNDS = 5
# Ceph counts blocks of 4096 bytes, so the small objects below fit and the large one does not.
QUOTA_BYTES = 65536
TOO_MUCH = bytes(2 * QUOTA_BYTES)


@pytest.fixture
def limited(ceph: CephGateway, bucket: str) -> Iterator[str]:
    """A bucket with one small object and a quota of 64 KiB."""
    storage.commit_bytes(storage.join(bucket, "old"), b"old")
    ceph.set_quota(name_of(bucket), QUOTA_BYTES)
    yield bucket
    ceph.remove_quota(name_of(bucket))


def name_of(bucket: str) -> str:
    return bucket.removeprefix("s3://")


def keys(ceph: CephGateway, bucket: str) -> list[str]:
    """What the store holds, asked past fsspec and its caches."""
    return [entry["Key"] for entry in ceph.client().list_objects_v2(Bucket=name_of(bucket)).get("Contents", [])]


def arrow(ceph: CephGateway) -> pyarrow.fs.S3FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key=ceph.access_key,
        secret_key=ceph.secret_key,
        endpoint_override=ceph.endpoint_url,
        region="us-east-1",
    )


def winner(uri: str, write: Callable[[str, bytes], bool]) -> bytes:
    """What the only one of the threads has written for which `write` was True; all start together."""
    barrier = Barrier(THREADS)
    texts = [uuid.uuid4().bytes for _ in range(THREADS)]

    def run(text: bytes) -> bool:
        barrier.wait()
        return write(uri, text)

    with ThreadPoolExecutor(THREADS) as pool:
        won = list(pool.map(run, texts))
    assert won.count(True) == 1, won
    return texts[won.index(True)]


def only_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 400, text
    # Ceph sends a code and no message.
    assert "None" not in text, f"it gives no reason: {text}"
    return text


def test_what_was_committed_is_read_back_with_its_digest(ceph: CephGateway, bucket: str) -> None:
    uri = storage.join(bucket, "a/b.bin")
    assert not storage.exists(uri)
    digest = storage.commit_bytes(uri, b"red")
    assert digest == storage.sha256(b"red") == storage.file_digest(uri)
    assert storage.exists(uri)
    assert storage.read_bytes(uri) == b"red"
    storage.commit_bytes(uri, b"blue")
    assert storage.read_bytes(uri) == b"blue"
    with storage.open_binary(uri) as file:
        assert file.read(2) == b"bl"
    assert keys(ceph, bucket) == ["a/b.bin"]


def test_json_and_tables_are_read_back(bucket: str) -> None:
    json_uri, table_uri = storage.join(bucket, "m.json"), storage.join(bucket, "t.parquet")
    storage.commit_json(json_uri, {"b": 1, "a": "圆形"})
    assert storage.read_json(json_uri) == {"a": "圆形", "b": 1}
    storage.commit_table(table_uri, TABLE, row_group_rows=100)
    assert storage.read_table([table_uri, table_uri]) == pa.concat_tables([TABLE, TABLE])
    assert storage.read_table([table_uri], ["value"]) == TABLE.select(["value"])
    assert pa.Table.from_batches(storage.read_batches(table_uri, ["id"])) == TABLE.select(["id"])
    with pytest.raises(BadInput, match="has no column 'colour'"):
        storage.read_table([table_uri], ["colour"])


def test_a_large_object_is_one_put(ceph: CephGateway, bucket: str) -> None:
    data = bytes(120 << 20)
    storage.commit_bytes(storage.join(bucket, "large"), data)
    head = ceph.client().head_object(Bucket=name_of(bucket), Key="large")
    assert head["ContentLength"] == len(data)
    assert "-" not in head["ETag"], "an upload in parts has their number in its tag"


def test_folders_are_listed_and_deleted(ceph: CephGateway, bucket: str) -> None:
    names = ("run/a/1.parquet", "run/a/2.parquet", "run/b/3.json", "run/b/.hidden", "other/4.json")
    for name in names:
        storage.commit_bytes(storage.join(bucket, name), name.encode())
    run = storage.join(bucket, "run")
    assert storage.list_files(run, ".parquet") == [f"{run}/a/1.parquet", f"{run}/a/2.parquet"]
    assert list(storage.stat_files(run)) == [f"{run}/a/1.parquet", f"{run}/a/2.parquet", f"{run}/b/3.json"]
    assert storage.list_folders(bucket) == ["other", "run"]
    assert storage.list_folders(run) == ["a", "b"]
    assert storage.list_folders(storage.join(bucket, "none")) == []
    stat = storage.stat_files(f"{run}/b/3.json")[f"{run}/b/3.json"]
    written = ceph.client().head_object(Bucket=name_of(bucket), Key="run/b/3.json")["LastModified"].timestamp()
    assert stat.num_bytes == len("run/b/3.json")
    assert abs(stat.modified_seconds - written) <= 1
    storage.delete_file(f"{run}/a/1.parquet")
    storage.delete_file(f"{run}/a/1.parquet")
    assert not storage.exists(f"{run}/a/1.parquet")
    storage.delete_folder(run)
    storage.delete_folder(run)
    assert not storage.exists(run)
    assert keys(ceph, bucket) == ["other/4.json"]


def test_more_files_than_one_page_are_listed_and_deleted(ceph: CephGateway, bucket: str) -> None:
    client = ceph.client()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda i: client.put_object(Bucket=name_of(bucket), Key=f"many/{i:04}", Body=b""), range(1001)))
    many = storage.join(bucket, "many")
    assert storage.list_files(many) == [f"{many}/{i:04}" for i in range(1001)]
    storage.delete_folder(many)
    assert keys(ceph, bucket) == []


def test_what_is_missing_is_named(bucket: str) -> None:
    uri = storage.join(bucket, "none")
    assert storage.read_tagged(uri) == (None, "")
    for read in (storage.read_bytes, storage.file_digest, storage.open_parquet):
        with pytest.raises(BadInput, match=uri):
            read(uri)
    with pytest.raises(BadInput, match="s3://no-such-bucket/a"):
        storage.commit_bytes("s3://no-such-bucket/a", b"a")


def test_create_and_replace_obey_their_conditions(bucket: str) -> None:
    uri = storage.join(bucket, "lease")
    assert storage.create_bytes(uri, b"1")
    assert not storage.create_bytes(uri, b"2")
    data, tag = storage.read_tagged(uri)
    assert data == b"1"
    assert storage.replace_bytes(uri, b"3", tag)
    assert not storage.replace_bytes(uri, b"4", tag)
    assert storage.read_bytes(uri) == b"3"
    storage.delete_file(uri)
    assert not storage.replace_bytes(uri, b"5", tag)
    assert not storage.exists(uri)


def test_one_of_eight_creates(bucket: str) -> None:
    for turn in range(ROUNDS):
        uri = storage.join(bucket, f"lease-{turn}")
        written = winner(uri, storage.create_bytes)
        assert storage.read_bytes(uri) == written


def test_one_of_eight_replaces(bucket: str) -> None:
    uri = storage.join(bucket, "lease")
    storage.create_bytes(uri, b"start")
    for _ in range(ROUNDS):
        _, tag = storage.read_tagged(uri)
        written = winner(uri, partial(storage.replace_bytes, tag=tag))
        assert storage.read_bytes(uri) == written


def test_a_wrong_secret_is_one_sentence(ceph: CephGateway, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = storage.join(bucket, "a")
    storage.commit_bytes(uri, b"a")
    s3 = fsspec.get_filesystem_class("s3")
    s3.clear_instance_cache()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    try:
        for act in (
            storage.exists,
            storage.read_bytes,
            storage.list_files,
            storage.list_folders,
            storage.read_tagged,
            storage.delete_file,
            storage.delete_folder,
            lambda uri: storage.commit_bytes(uri, b"b"),
            lambda uri: storage.create_bytes(f"{uri}-new", b"b"),
            lambda uri: storage.replace_bytes(uri, b"b", '"tag"'),
        ):
            with pytest.raises(BadInput, match=uri) as caught:
                act(uri)
            only_sentence(caught.value)
    finally:
        s3.clear_instance_cache()
    assert ceph.client().get_object(Bucket=name_of(bucket), Key="a")["Body"].read() == b"a"


def test_a_full_store_is_said_and_nothing_half_is_left(ceph: CephGateway, limited: str) -> None:
    uri = storage.join(limited, "new")
    for write in (storage.commit_bytes, storage.create_bytes):
        with pytest.raises(BadInput, match=uri) as caught:
            write(uri, TOO_MUCH)
        assert "QuotaExceeded" in only_sentence(caught.value)
    assert keys(ceph, limited) == ["old"]
    assert not storage.exists(uri)
    storage.commit_bytes(storage.join(limited, "small"), b"small")
    ceph.remove_quota(name_of(limited))
    storage.commit_bytes(uri, TOO_MUCH)
    assert storage.read_bytes(uri) == TOO_MUCH


def test_pyarrow_loses_a_copy_over_quota_in_silence(ceph: CephGateway, limited: str, tmp_path: Path) -> None:
    """Ray Train's own upload of checkpoints is this call; were it ever to raise, ours would be needed no more."""
    (tmp_path / "checkpoint").write_bytes(TOO_MUCH)
    pyarrow.fs.copy_files(
        str(tmp_path),
        f"{name_of(limited)}/run",
        source_filesystem=pyarrow.fs.LocalFileSystem(),
        destination_filesystem=arrow(ceph),
    )
    assert not [key for key in keys(ceph, limited) if key.endswith("checkpoint")]
    with pytest.raises(OSError), arrow(ceph).open_output_stream(f"{name_of(limited)}/checkpoint") as file:
        file.write(TOO_MUCH)


def test_pyarrow_needs_the_checksum_variable(ceph: CephGateway, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is why `pipelines.s3.environment` goes to every worker."""
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION")
    with pytest.raises(OSError, match="411"), arrow(ceph).open_output_stream(f"{name_of(bucket)}/a") as file:
        file.write(b"a")
    assert keys(ceph, bucket) == []
    s3.environment()
    with arrow(ceph).open_output_stream(f"{name_of(bucket)}/a") as file:
        file.write(b"a")
    assert keys(ceph, bucket) == ["a"]


def test_pyarrow_reads_what_was_committed_and_the_other_way_round(ceph: CephGateway, bucket: str) -> None:
    storage.commit_bytes(storage.join(bucket, "a"), b"a")
    with arrow(ceph).open_input_stream(f"{name_of(bucket)}/a") as file:
        assert file.read() == b"a"
    with arrow(ceph).open_output_stream(f"{name_of(bucket)}/b") as file:
        file.write(b"b")
    assert storage.read_bytes(storage.join(bucket, "b")) == b"b"


def test_what_was_stored_survives_a_restart(ceph: CephGateway, bucket: str) -> None:
    uris = [storage.join(bucket, f"{i}.parquet") for i in range(3)]
    digests = [storage.commit_table(uri, TABLE.slice(i)) for i, uri in enumerate(uris)]
    _, tag = storage.read_tagged(uris[0])
    ceph.restart()
    assert storage.list_files(bucket) == uris
    assert [storage.file_digest(uri) for uri in uris] == digests
    assert storage.replace_bytes(uris[0], b"new", tag)
    assert storage.read_bytes(uris[0]) == b"new"


def test_the_store_itself_refuses_wrong_keys(ceph: CephGateway, bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=ceph.endpoint_url, aws_access_key_id="A", aws_secret_access_key="B")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client.list_objects_v2(Bucket=name_of(bucket))


def test_a_start_that_fails_leaves_no_process(
    ceph: CephGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, Any] = {}
    spawn = CephGateway._spawn

    def fail_at_the_user(self: CephGateway, program: str, *arguments: str) -> Any:
        if program == "radosgw-admin":
            assert started["ceph-mon"].poll() is started["ceph-osd"].poll() is None
            raise KeyboardInterrupt
        started[program] = spawn(self, program, *arguments)
        return started[program]

    monkeypatch.setattr(CephGateway, "_spawn", fail_at_the_user)
    with pytest.raises(KeyboardInterrupt), CephGateway(tmp_path / "store"):
        pass
    assert {process.poll() is None for process in started.values()} == {False}


def test_a_daemon_that_dies_is_told_with_its_last_words(ceph: CephGateway, tmp_path: Path) -> None:
    second = CephGateway(tmp_path / "store")
    with (
        socket.create_server(("127.0.0.1", second._mon_ports[0])),
        pytest.raises(RuntimeError, match=r"ceph-mon ended:[\s\S]*unable to bind"),
        second,
    ):
        pass


def test_a_machine_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANRNN_STACK_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="needs Debian or Ubuntu with apt; apt-get, dpkg, dpkg-deb, setpriv is not"):
        stack.programs()
