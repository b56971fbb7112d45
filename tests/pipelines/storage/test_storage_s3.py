"""Storage over the S3 protocol, against moto's server on 127.0.0.1: in memory, any credentials."""

import boto3
import pyarrow as pa
import pyarrow.fs
import pytest

from ganrnn.errors import BadInput
from pipelines import storage


def test_a_folder_is_written_found_and_removed(s3_bucket: str) -> None:
    digests = storage.commit_files(f"{s3_bucket}/s/model", {"last": b"2", "first": b"1"}, last="last")
    assert digests == {"first": storage.sha256(b"1"), "last": storage.sha256(b"2")}
    assert storage.list_files(f"{s3_bucket}/s/model") == [f"{s3_bucket}/s/model/first", f"{s3_bucket}/s/model/last"]
    assert storage.list_folders(f"{s3_bucket}/s") == ["model"]
    assert storage.file_digest(f"{s3_bucket}/s/model/first") == digests["first"]
    storage.delete_folder(f"{s3_bucket}/s/model")
    assert not storage.exists(f"{s3_bucket}/s/model/first") and storage.list_folders(f"{s3_bucket}/s") == []


@pytest.mark.parametrize("name", ["run[12]", "run*?", "a b%20+#ü", "a::b", "x?versionId=1"])
def test_a_key_is_no_pattern(s3_bucket: str, name: str) -> None:
    table = pa.table({"id": ["a"]})
    kept = [f"{s3_bucket}/n/{neighbour}/checkpoint.json" for neighbour in ("a", "run1", "x")]
    for uri in kept:
        storage.commit_bytes(uri, b"{}")
    folder = f"{s3_bucket}/n/{name}"
    uris = [f"{folder}/{name}/{name}.parquet", f"{folder}/{name}.parquet"]
    for uri in uris:
        assert storage.commit_table(uri, table) == storage.file_digest(uri)
    key = folder.removeprefix("s3://pictures/") + "/"
    boto3.client("s3").put_object(Bucket="pictures", Key=key, Body=b"")  # as consoles mark a folder
    assert storage.list_files(folder) == sorted(uris) and storage.list_folders(folder) == [name]
    assert storage.RowGroups(uris[0]).read(0) == storage.read_table(uris[1:]) == table
    assert storage.relative(uris[0], folder) == f"{name}/{name}.parquet"
    for uri in (folder, folder.replace("s3:", "s3a:"), f"/{folder.removeprefix('s3://')}"):
        path = pa.fs.FileSystem.from_uri(storage.percent_encoded(uri))[1]
        assert path.lstrip("/") == folder.removeprefix("s3://")
    storage.delete_file(uris[1])
    assert storage.list_files(folder) == uris[:1]
    storage.delete_folder(folder)
    assert storage.list_files(f"{s3_bucket}/n") == kept and not storage.exists(folder)


def test_a_table_comes_back(s3_bucket: str) -> None:
    table = pa.table({"prompt": ["a red circle", "红色圆形"], "seed": [1, 2]})
    storage.commit_table(f"{s3_bucket}/prompts/a.parquet", table)
    assert storage.read_table(storage.list_files(f"{s3_bucket}/prompts", ".parquet"), ["prompt"]).to_pydict() == {
        "prompt": ["a red circle", "红色圆形"]
    }


def test_what_is_not_there_is_refused(s3_bucket: str) -> None:
    with pytest.raises(BadInput, match=r"s3://pictures/none does not exist"):
        storage.read_bytes(f"{s3_bucket}/none")
    with pytest.raises(BadInput, match=r"s3://no-such-bucket/a cannot be written|does not exist"):
        storage.commit_bytes("s3://no-such-bucket/a", b"1")
