"""Which trouble with a store is worth another try: by what the store said, or that it said nothing."""

import errno
import pickle
import socket
from typing import Any

import fsspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from ganrnn.errors import BadInput, TryAgain
from pipelines import storage
from pipelines.cluster.messages import Refusal
from pipelines.storage import errors
from tests.pipelines.storage.faulty_s3 import FaultyS3


def store_error(status: int, code: str) -> OSError:
    """As s3fs raises what a store answers."""
    error = OSError(errno.EIO, "it failed")
    said: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error.__cause__ = ClientError(said, "PutObject")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (store_error(503, "SlowDown"), TryAgain, "SlowDown no"),
        (store_error(500, "InternalError"), TryAgain, "InternalError no"),
        (store_error(403, "QuotaExceeded"), BadInput, "QuotaExceeded no"),
        (store_error(404, "NoSuchBucket"), BadInput, "NoSuchBucket no"),
        (EndpointConnectionError(endpoint_url="http://x"), TryAgain, "Could not connect"),
        (NoCredentialsError(), BadInput, "Unable to locate credentials"),
        (TimeoutError("too slow"), TryAgain, "too slow"),
        (OSError(errno.ENOSPC, "full"), BadInput, "no space left on device"),
        (PermissionError(errno.EACCES, "denied"), BadInput, "[Errno 13] denied"),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(error: Exception, kind: type[BadInput], reason: str) -> None:
    made = errors.refusal("s3://a/b cannot be written", error, "; wait")
    assert type(made) is kind
    assert str(made).startswith(f"s3://a/b cannot be written ({reason}") and str(made).endswith("; wait")


@pytest.mark.parametrize("kind", [BadInput, TryAgain])
def test_the_kind_survives_the_way_from_a_worker(kind: type[BadInput]) -> None:
    error = pickle.loads(pickle.dumps(Refusal.of(kind("no")))).error()
    assert type(error) is kind and str(error) == "no"


def test_a_server_that_is_gone_or_fails_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    s3 = fsspec.get_filesystem_class("s3")
    with FaultyS3(share=1.0, kinds=["internal_error"]) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3.clear_instance_cache()
        with pytest.raises(TryAgain, match=r"s3://b/a cannot be written .*InternalError"):
            storage.commit_bytes("s3://b/a", b"1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    s3.clear_instance_cache()
    with pytest.raises(TryAgain, match=r"s3://b/a cannot be read .*Could not connect"):
        storage.read_bytes("s3://b/a")
    s3.clear_instance_cache()
