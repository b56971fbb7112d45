"""What a store is asked: URIs, atomic commits, digests, Parquet. The only package that knows fsspec.

A URI is s3://bucket/key, file:///path or a plain path. A file appears whole or not at all: locally by a rename within
its folder, on object stores by one PUT; either way it counts only after its size was read back.
"""

from pipelines.storage.conditional import create_bytes, read_tagged, replace_bytes
from pipelines.storage.files import (
    FileStat,
    commit_bytes,
    commit_files,
    commit_json,
    delete_file,
    delete_folder,
    delete_unfinished,
    exists,
    file_digest,
    list_files,
    list_folders,
    list_others,
    local_path,
    open_binary,
    read_bytes,
    read_json,
    read_object,
    relative,
    sha256,
    stat_files,
)
from pipelines.storage.parquet import (
    RowGroups,
    commit_table,
    open_parquet,
    parquet_bytes,
    read_batches,
    read_row_group,
    read_table,
    reading_parquet,
    require_columns,
)
from pipelines.storage.uris import absolute, join

__all__ = [
    "FileStat",
    "RowGroups",
    "absolute",
    "commit_bytes",
    "commit_files",
    "commit_json",
    "commit_table",
    "create_bytes",
    "delete_file",
    "delete_folder",
    "delete_unfinished",
    "exists",
    "file_digest",
    "join",
    "list_files",
    "list_folders",
    "list_others",
    "local_path",
    "open_binary",
    "open_parquet",
    "parquet_bytes",
    "read_batches",
    "read_bytes",
    "read_json",
    "read_object",
    "read_row_group",
    "read_table",
    "read_tagged",
    "reading_parquet",
    "relative",
    "replace_bytes",
    "require_columns",
    "sha256",
    "stat_files",
]
