"""The failing S3 store, and what clients of three kinds make of it: boto3, `pipelines.storage` and pyarrow."""

import http.client
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pyarrow.fs
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ganrnn.errors import BadInput
from pipelines import storage
from tests.pipelines.storage.faulty_s3 import KINDS, RETRYABLE, FaultyS3, schedule
from tests.pipelines.tiny import wait_until

BUCKET = "unreliable"
DATA = os.urandom(300_001)

# Whose signature moto does not check, but without one objects are refused.
AUTHORIZATION = {"Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, Signature=0"}


@contextmanager
def serving(**settings: Any) -> Iterator[FaultyS3]:
    """A server with one bucket, which this process's S3 clients find."""
    s3 = fsspec.get_filesystem_class("s3")
    with pytest.MonkeyPatch.context() as environment, FaultyS3(**settings) as server:
        for name, value in server.environment().items():
            environment.setenv(name, value)
        s3.clear_instance_cache()
        server.create_bucket(BUCKET)
        yield server
        s3.clear_instance_cache()


def client_without_retries() -> Any:
    return boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))


def exchange(address: str, method: str, path: str, **request: Any) -> tuple[int, dict[str, str], bytes]:
    """One request, without what differs from one answer to the next."""
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method, path, **{**request, "headers": {**AUTHORIZATION, **request.get("headers", {})}})
    response = connection.getresponse()
    body = re.sub(rb"<(RequestId|HostId)>.*?<", b"", response.read())
    connection.close()
    changing = ("date", "connection", "x-amz-request-id", "x-amzn-requestid", "last-modified")
    return response.status, {n: v for n, v in response.getheaders() if n.lower() not in changing}, body


def test_traffic_is_forwarded_byte_for_byte() -> None:
    with serving(share=0.0) as server:
        addresses = ("{}:{}".format(*server.store_address), server.endpoint_url.removeprefix("http://"))
        chunks = [DATA[:100_000], b"x", DATA[100_000:]]
        for number, headers in enumerate(({"x-amz-meta-place": "here"}, {"Expect": "100-continue"})):
            exchange(addresses[1], "PUT", f"/{BUCKET}/whole{number}", body=DATA, headers=headers)
        exchange(addresses[1], "PUT", f"/{BUCKET}/chunked", body=iter(chunks), encode_chunked=True)
        for method, path, headers in (
            ("GET", f"/{BUCKET}/whole0", {}),
            ("GET", f"/{BUCKET}/whole0", {"Range": "bytes=100-70000"}),
            ("GET", f"/{BUCKET}/whole0", {"Range": "bytes=-5"}),
            ("GET", f"/{BUCKET}/whole0", {"Range": "bytes=900000-"}),
            ("HEAD", f"/{BUCKET}/whole0", {}),
            ("GET", f"/{BUCKET}/whole1", {}),
            ("GET", f"/{BUCKET}/chunked", {}),
            ("GET", f"/{BUCKET}/none", {}),
            ("HEAD", f"/{BUCKET}/none", {}),
            ("GET", f"/{BUCKET}?list-type=2&prefix=whole", {}),
        ):
            direct, through = (exchange(address, method, path, headers=headers) for address in addresses)
            assert through == direct, f"{method} {path} {headers}"
        assert exchange(addresses[1], "GET", f"/{BUCKET}/whole1")[2] == DATA
        assert exchange(addresses[1], "GET", f"/{BUCKET}/chunked")[2] == b"".join(chunks)
        assert exchange(addresses[1], "HEAD", f"/{BUCKET}/whole0")[1]["Content-Length"] == str(len(DATA))
        assert not server.injected


def test_a_connection_is_kept_and_a_signed_stream_passes() -> None:
    with serving(share=0.0) as server:
        connection = http.client.HTTPConnection(server.endpoint_url.removeprefix("http://"), timeout=60)
        signature = "0" * 64
        pieces = [(DATA[:70_000], signature), (DATA[70_000:90_000], signature), (b"", signature)]
        body = b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(p), s.encode(), p) for p, s in pieces)
        headers = {
            **AUTHORIZATION,
            "Content-Encoding": "aws-chunked",
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "x-amz-decoded-content-length": "90000",
        }
        connection.request("PUT", f"/{BUCKET}/signed", body=body, headers=headers)
        assert connection.getresponse().read() == b""
        first = connection.sock
        connection.request("GET", f"/{BUCKET}/signed", headers=AUTHORIZATION)
        assert connection.getresponse().read() == DATA[:90_000]
        assert connection.sock is first is not None
        connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_reaches_a_client(kind: str) -> None:
    codes = {"internal_error": "InternalError", "slow_down": "SlowDown", "forbidden": "AccessDenied"}
    statuses = {"internal_error": "500", "slow_down": "503", "forbidden": "403"}
    with serving(share=1.0, kinds=[kind], stall_seconds=0.1) as server:
        client = client_without_retries()
        server.faults_on = False
        client.put_object(Bucket=BUCKET, Key="there", Body=DATA)
        server.faults_on = True
        for number, (method, ask) in enumerate(
            {
                "PUT": lambda: client.put_object(Bucket=BUCKET, Key="new", Body=DATA),
                "GET": lambda: client.get_object(Bucket=BUCKET, Key="there")["Body"].read(),
                "HEAD": lambda: client.head_object(Bucket=BUCKET, Key="there"),
            }.items()
        ):
            with pytest.raises(ClientError if kind in codes else BotoCoreError) as caught:
                ask()
            assert server.injected == {kind: number + 1}
            if kind in codes:
                assert caught.value.response["Error"]["Code"] == (statuses if method == "HEAD" else codes)[kind]
        server.faults_on = False
        found = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert found == (["new", "there"] if kind == "reset_response" else ["there"])
        assert server.injected == {kind: 3}


def test_closing_ends_stalls() -> None:
    with ThreadPoolExecutor(1) as pool:
        with serving(share=1.0, kinds=["stall"], stall_seconds=600) as server:
            stalled = pool.submit(client_without_retries().get_object, Bucket=BUCKET, Key="a")
            wait_until(lambda: bool(server.injected), "a stall")
        assert isinstance(stalled.exception(timeout=10), BotoCoreError)


def test_the_same_seed_gives_the_same_schedule() -> None:
    def happens(seed: int, path: str, kinds: Sequence[str] = RETRYABLE) -> list[str]:
        return [fault.kind if fault else "" for fault in islice(schedule(seed, 0.5, kinds, "GET", path), 400)]

    assert happens(3, "/a") == happens(3, "/a")
    assert happens(3, "/a") != happens(4, "/a") and happens(3, "/a") != happens(3, "/b")
    assert set(happens(3, "/a")) == {*RETRYABLE, ""}
    assert all("" in happens(3, "/a")[n : n + 3] for n in range(398))

    def met(seed: int) -> list[bool]:
        with serving(seed=seed, share=0.5, kinds=["internal_error"]):
            client, answers = client_without_retries(), []
            for number in range(20):
                try:
                    client.put_object(Bucket=BUCKET, Key=f"{number % 4}", Body=b"1")
                    answers.append(False)
                except ClientError:
                    answers.append(True)
            return answers

    assert met(5) == met(5) != met(6)


def test_what_does_not_exist_is_no_kind() -> None:
    with pytest.raises(ValueError, match=r"kinds has flood; allowed are internal_error, "):
        FaultyS3(kinds=["flood", "stall"])


def test_storage_gets_through() -> None:
    sent = {f"s3://{BUCKET}/model/{n:02}": os.urandom(n * 5_000) for n in range(40)}
    kinds = ["internal_error", "slow_down", "reset_request", "reset_response"]
    with serving(seed=1, share=0.3, kinds=kinds) as server, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(storage.commit_bytes, sent, sent.values())) == [storage.sha256(d) for d in sent.values()]
        assert list(pool.map(storage.read_bytes, sent)) == list(sent.values())
        assert storage.list_files(f"s3://{BUCKET}/model") == list(sent)
        assert set(server.injected) == set(kinds) and server.injected.total() > 20
        server.faults_on = False
        client = client_without_retries()
        for uri, data in sent.items():
            key = uri.removeprefix(f"s3://{BUCKET}/")
            assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == data


def test_storage_says_that_the_quota_is_used_up() -> None:
    with serving(share=0.0) as server:
        server.quota_bytes = 1000
        storage.commit_bytes(f"s3://{BUCKET}/fits", b"1" * 1000)
        with pytest.raises(
            BadInput, match=rf"s3://{BUCKET}/more cannot be written .*quota.*free space, grant access or wait"
        ):
            storage.commit_bytes(f"s3://{BUCKET}/more", b"1")
        assert not storage.exists(f"s3://{BUCKET}/more") and storage.exists(f"s3://{BUCKET}/fits")
        assert server.injected == {"quota": 1}


def test_pyarrow_loses_a_checkpoint_over_quota_in_silence(tmp_path: Path) -> None:
    """Ray Train uploads checkpoints by `copy_files`. When this fails, pyarrow reports what it did not write."""
    (tmp_path / "model.safetensors").write_bytes(DATA)
    with serving(share=0.0) as server:
        local = pyarrow.fs.LocalFileSystem()
        store = pyarrow.fs.S3FileSystem(endpoint_override=server.endpoint_url.removeprefix("http://"), scheme="http")
        pyarrow.fs.copy_files(str(tmp_path), f"{BUCKET}/kept", local, store)
        assert storage.read_bytes(f"s3://{BUCKET}/kept/model.safetensors") == DATA
        server.quota_bytes = len(DATA) + 1000
        pyarrow.fs.copy_files(str(tmp_path), f"{BUCKET}/lost", local, store)
        assert server.injected["quota"] > 0
        assert not storage.exists(f"s3://{BUCKET}/lost/model.safetensors")
