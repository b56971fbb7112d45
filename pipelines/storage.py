"""The only file that knows fsspec: URIs, atomic commits, digests.

A URI is s3://bucket/key, file:///path or a plain path. A file appears whole or not at all: locally by a rename within
its folder, on object stores by one PUT; either way it counts only after its size was read back.
"""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from ganrnn.errors import BadInput
from pipelines import s3, store_errors
from pipelines.store_errors import STORE_ERRORS

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_PART = ".part-"

# What stores raise for a place that is not there, or that lies below a file.
_ABSENT = (FileNotFoundError, NotADirectoryError)

# A PUT of more is refused by S3; less is never cut into parts, which a killed process would leave behind.
_ONE_PUT_BYTES = 5 << 30

T = TypeVar("T")


@dataclass(frozen=True)
class FileStat:
    """Size and time of last change, in seconds since 1970 by the clock of the store."""

    num_bytes: int
    modified_seconds: float


def absolute(uri: str) -> str:
    """Plain and sqlite paths made absolute (Ray workers run in other folders); other URIs as they are."""
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    return uri if _SCHEME.match(uri) else os.path.normpath(Path(uri).expanduser().absolute())


def join(uri: str, *parts: str) -> str:
    """A URI below another."""
    return "/".join([uri.rstrip("/"), *(part for part in parts if part)])


def exists(uri: str) -> bool:
    """Whether a file or folder is there; a store that cannot be asked is BadInput."""
    fs, path = _open(uri)
    return _asked(uri, lambda: _is_there(fs, path))


def list_files(uri: str, suffix: str = "") -> list[str]:
    """URIs of all files below a folder, sorted, without hidden and unfinished ones; the file itself if it is one."""
    return list(stat_files(uri, suffix))


def stat_files(uri: str, suffix: str = "") -> dict[str, FileStat]:
    """What `list_files` lists, with sizes and times, by one listing."""
    fs, path = _open(uri)

    def find() -> dict[str, dict[str, Any]]:
        return dict(fs.find(path, detail=True))

    scheme = f"{uri.split('://')[0]}://" if "://" in uri else ""
    return {
        name if name.startswith(scheme) else scheme + name: FileStat(entry["size"], _modified_seconds(entry))
        for name, entry in sorted(_asked(uri, find).items())
        if name.endswith(suffix) and not _is_hidden(name, path)
    }


def list_folders(uri: str) -> list[str]:
    """Names of the folders directly below a folder, sorted; empty when it does not exist."""
    fs, path = _open(uri)

    def find() -> list[str]:
        try:
            return sorted(entry["name"] for entry in fs.ls(path, detail=True) if entry["type"] == "directory")
        except _ABSENT:
            return []

    return [name.rstrip("/").rsplit("/", 1)[-1] for name in _asked(uri, find)]


def read_bytes(uri: str) -> bytes:
    """A whole file."""
    fs, path = _open(uri)
    return _asked(uri, lambda: _cat(fs, path))


def open_binary(uri: str) -> Any:
    """A file opened for reading from its start, for those too large to hold."""
    fs, path = _open(uri)
    return _asked(uri, lambda: fs.open(path, "rb"))


def relative(uri: str, folder: str) -> str:
    """The path of a file below a folder; its own name where it does not lie there."""
    path, root = _open(uri)[1], _open(folder)[1].rstrip("/") + "/"
    return path.removeprefix(root) if path.startswith(root) else path.rsplit("/", 1)[-1]


def read_json(uri: str) -> Any:
    """A JSON file."""
    data = read_bytes(uri)
    try:
        return json.loads(data)
    except ValueError as error:
        raise BadInput(f"{uri} is not JSON ({error}); it may be truncated") from error


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def file_digest(uri: str) -> str:
    """sha256 of a file, read in pieces."""
    fs, path = _open(uri)
    digest = hashlib.sha256()

    def feed() -> None:
        with fs.open(path, "rb") as file:
            while piece := file.read(1 << 22):
                digest.update(piece)

    _asked(uri, feed)
    return digest.hexdigest()


def commit_bytes(uri: str, data: bytes) -> str:
    """Write a file atomically, read its size back, return its sha256. A full or unwritable disk is BadInput."""
    fs, path = _open(uri)
    try:
        if isinstance(fs, LocalFileSystem):
            _rename_into_place(path, data)
        else:
            fs.pipe_file(path, data, **_one_put(fs))
        size = fs.size(path)
    except STORE_ERRORS as error:
        advice = "; free space, grant access or wait, then run again"
        raise store_errors.refusal(f"{uri} cannot be written", error, advice) from error
    if size != len(data):
        raise BadInput(f"{uri} holds {size} bytes after {len(data)} were written; the store has lost data, run again")
    return sha256(data)


def create_bytes(uri: str, data: bytes) -> bool:
    """Write an object unless there is one, in one step; False where there is. For object stores and unique data."""
    return _put_if(uri, data, mode="create")


def replace_bytes(uri: str, data: bytes, tag: str) -> bool:
    """Write an object if it is still the one of `tag`, in one step; False where it is not. For object stores."""
    return _put_if(uri, data, IfMatch=tag.strip('"'))  # Ceph compares it without the quotes that it sends it with


def read_tagged(uri: str) -> tuple[bytes | None, str]:
    """An object and a tag that changes with it; (None, "") where there is none. For object stores."""
    fs, path = _open(uri)

    def read() -> tuple[bytes | None, str]:
        try:
            # Between the two calls the object may change; its tag then no longer fits, and nothing is replaced.
            tag = fs.info(path).get("ETag", "")
            return _cat(fs, path), tag
        except FileNotFoundError:
            return None, ""

    return _asked(uri, read)


def commit_json(uri: str, value: Any) -> str:
    """Write JSON atomically: sorted keys, one final newline, the same value the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return commit_bytes(uri, (text + "\n").encode())


def commit_table(uri: str, table: pa.Table, row_group_rows: int = 512) -> str:
    """Write a Parquet file atomically and return its sha256."""
    return commit_bytes(uri, parquet_bytes(table, row_group_rows))


def parquet_bytes(table: pa.Table, row_group_rows: int = 512) -> bytes:
    """A Parquet file in memory; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=row_group_rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def commit_files(uri: str, files: Mapping[str, bytes], last: str) -> dict[str, str]:
    """Write a folder of files, the one named `last` after all others: its presence means that the folder is whole."""
    digests = {name: commit_bytes(join(uri, name), data) for name, data in files.items() if name != last}
    return digests | {last: commit_bytes(join(uri, last), files[last])}


def open_parquet(uri: str) -> pq.ParquetFile:
    """A Parquet file ready for reading by row group."""
    fs, path = _open(uri)
    with reading_parquet(uri):
        return pq.ParquetFile(fs.open(path, "rb"))


@contextmanager
def reading_parquet(uri: str) -> Iterator[None]:
    """Whatever goes wrong while a Parquet file is read becomes BadInput that names it."""
    try:
        yield
    except (*STORE_ERRORS, pa.ArrowException) as error:
        advice = "; it may be missing, empty or truncated"
        raise store_errors.refusal(f"{uri} cannot be read as Parquet", error, advice) from error


def read_batches(uri: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows of a Parquet file in pieces that fit in memory."""
    file = open_parquet(uri)
    require_columns(uri, file.schema_arrow, columns)
    with reading_parquet(uri):
        yield from file.iter_batches(columns=list(columns))


def require_columns(uri: str, schema: pa.Schema, columns: Sequence[str]) -> None:
    """Raise BadInput when a Parquet file lacks a column."""
    for column in columns:
        if column not in schema.names:
            raise BadInput(f"{uri} has no column {column!r}; it has {', '.join(schema.names)}")


def read_table(uris: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of Parquet files, one after the other."""
    tables = []
    for uri in uris:
        file = open_parquet(uri)
        require_columns(uri, file.schema_arrow, columns or [])
        with reading_parquet(uri):
            tables.append(file.read(columns=list(columns) if columns else None))
    return pa.concat_tables(tables)


def delete_folder(uri: str) -> None:
    """Remove a folder with everything below it, if it is there."""
    fs, path = _open(uri)
    if _asked(uri, lambda: _is_there(fs, path)):
        _asked(uri, lambda: fs.rm(path, recursive=True))


def delete_file(uri: str) -> None:
    """Remove a file, if it is there."""
    fs, path = _open(uri)
    try:
        fs.rm_file(path)
    except FileNotFoundError:
        pass
    except STORE_ERRORS as error:
        raise store_errors.refusal(f"{uri} cannot be removed", error) from error


def delete_unfinished(uri: str) -> None:
    """Remove what killed writers have left below a local folder; stores never show half an object."""
    directory = local_path(uri)
    for part in directory.rglob(f".*{_PART}*") if directory else ():
        part.unlink(missing_ok=True)


def local_path(uri: str) -> Path | None:
    """The path behind a URI of this machine's file systems; None for any other."""
    fs, path = _open(uri)
    return Path(path) if isinstance(fs, LocalFileSystem) else None


def _open(uri: str) -> tuple[Any, str]:
    try:
        options = {}
        if uri.startswith(("s3://", "s3a://")):
            s3.fill_in()
            options = s3.OPTIONS
        fs, path = fsspec.core.url_to_fs(uri, **options)
    except (ValueError, ImportError) as error:
        raise BadInput(f"{uri} is no readable URI ({error}); allowed are paths, file:// and s3://") from error
    return fs, path


def _asked(uri: str, question: Callable[[], T]) -> T:
    try:
        return question()
    except FileNotFoundError as error:
        raise BadInput(f"{uri} does not exist; check the path, or run the verb that writes it") from error
    except STORE_ERRORS as error:
        raise store_errors.refusal(f"{uri} cannot be read", error) from error


def _rename_into_place(path: str, data: bytes) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{_PART}{uuid.uuid4().hex}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _is_s3(fs: Any) -> bool:
    return "s3" in fs.protocol


def _one_put(fs: Any) -> dict[str, int]:
    return {"chunksize": _ONE_PUT_BYTES} if _is_s3(fs) else {}


def _cat(fs: Any, path: str) -> bytes:
    # In pieces, s3fs gives up a whole read for one cut connection; at once, it reads again.
    return bytes(fs.cat_file(path, **({"max_concurrency": 1} if _is_s3(fs) else {})))


def _is_there(fs: Any, path: str) -> bool:
    try:
        fs.info(path)  # fs.exists of s3fs takes a bucket that cannot be asked for one that is not there
    except _ABSENT:
        return False
    return True


def _put_if(uri: str, data: bytes, **condition: str) -> bool:
    """Whether the object is `data` now, written under a condition. `data` has to be unique to its writer."""
    # A request that is tried again after its answer was lost meets its own object.
    return _put_once(uri, data, **condition) or read_tagged(uri)[0] == data


def _put_once(uri: str, data: bytes, **condition: str) -> bool:
    fs, path = _open(uri)
    try:
        fs.pipe_file(path, data, **_one_put(fs), **condition)
    except FileExistsError:
        return False
    except STORE_ERRORS as error:
        if store_errors.code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
            return False
        raise store_errors.refusal(f"{uri} cannot be written", error) from error
    return True


def _modified_seconds(entry: Mapping[str, Any]) -> float:
    """fsspec has a name of its own for it in every file system."""
    found = entry.get("mtime") or entry.get("LastModified") or entry.get("created") or 0.0
    return float(found.timestamp() if hasattr(found, "timestamp") else found)


def _is_hidden(name: str, folder: str) -> bool:
    return any(part.startswith((".", "_")) for part in name[len(folder) :].split("/"))
