"""Storage over the S3 protocol, against moto's server on 127.0.0.1: in memory, any credentials."""

from collections.abc import Iterator

import boto3
import fsspec
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from ganrnn.errors import BadInput
from pipelines import storage


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        boto3.client("s3").create_bucket(Bucket="pictures")
        yield "s3://pictures"
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def test_a_folder_is_written_found_and_removed(bucket: str) -> None:
    digests = storage.commit_files(f"{bucket}/model", {"last": b"2", "first": b"1"}, last="last")
    assert digests == {"first": storage.sha256(b"1"), "last": storage.sha256(b"2")}
    assert storage.list_files(f"{bucket}/model") == [f"{bucket}/model/first", f"{bucket}/model/last"]
    assert storage.list_folders(bucket) == ["model"]
    assert storage.file_digest(f"{bucket}/model/first") == digests["first"]
    storage.delete_folder(f"{bucket}/model")
    assert not storage.exists(f"{bucket}/model/first") and storage.list_folders(bucket) == []


def test_a_table_comes_back(bucket: str) -> None:
    table = pa.table({"prompt": ["a red circle", "红色圆形"], "seed": [1, 2]})
    storage.commit_table(f"{bucket}/prompts/a.parquet", table)
    assert storage.read_table(storage.list_files(f"{bucket}/prompts", ".parquet"), ["prompt"]).to_pydict() == {
        "prompt": ["a red circle", "红色圆形"]
    }


def test_what_is_not_there_is_refused(bucket: str) -> None:
    with pytest.raises(BadInput, match=r"s3://pictures/none does not exist"):
        storage.read_bytes(f"{bucket}/none")
    with pytest.raises(BadInput, match=r"s3://no-such-bucket/a cannot be written|does not exist"):
        storage.commit_bytes("s3://no-such-bucket/a", b"1")
