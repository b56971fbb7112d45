"""Storage over the S3 protocol, against moto's server on 127.0.0.1: in memory, any credentials."""

import pyarrow as pa
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
