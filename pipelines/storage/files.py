"""Files of any store: listed, read, digested, committed by one rename or one PUT, deleted. Alone in knowing fsspec."""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ganrnn.errors import BadInput
from pipelines.storage import errors, s3
from pipelines.storage.errors import STORE_ERRORS
from pipelines.storage.uris import S3, join, split

_PART = ".part-"
_UNFINISHED = re.compile(r"\..+\.part-[0-9a-f]{32}")

# What stores raise for a path that does not exist or lies below a file.
_ABSENT = (FileNotFoundError, NotADirectoryError)

# A PUT of more is refused by S3; less is never cut into parts, which a killed process would leave behind.
_ONE_PUT_BYTES = 5 << 30

_IF_MISSING = "check the path, or run the verb that writes it"

# S3 removes as many objects by one request.
_DELETED_AT_ONCE = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class FileStat:
    """Size and time of last change, in seconds since 1970 by the clock of the store."""

    num_bytes: int
    modified_seconds: float


def exists(uri: str) -> bool:
    """Whether a file or folder exists; BadInput where the store does not answer."""
    fs, path = open_filesystem(uri)
    return ask(uri, lambda: _is_there(fs, path))


def list_files(uri: str, suffix: str = "") -> list[str]:
    """URIs of all files below a folder, sorted, without hidden and unfinished ones; the file itself if it is one.

    Case does not count in `suffix`. Pipes and devices are no files.
    """
    return list(stat_files(uri, suffix))


def list_others(uri: str, files: Collection[str]) -> list[str]:
    """URIs of all that lies below a folder, hidden or not, and is none of `files`."""
    return sorted(_find(uri).keys() - set(files))


def stat_files(uri: str, suffix: str = "") -> dict[str, FileStat]:
    """What `list_files` lists, with sizes and times, by one listing."""
    path = open_filesystem(uri)[1]
    scheme = _scheme(uri)
    return {
        name: FileStat(entry["size"], _modified_seconds(entry))
        for name, entry in _find(uri).items()
        if name.lower().endswith(suffix) and not _is_hidden(name.removeprefix(scheme), path) and _is_file(entry)
    }


def list_folders(uri: str) -> list[str]:
    """Names of the folders directly below a folder, sorted; empty when it does not exist."""
    fs, path = open_filesystem(uri)

    def find() -> list[str]:
        try:
            return sorted(entry["name"] for entry in fs.ls(path, detail=True) if entry["type"] == "directory")
        except _ABSENT:
            return []

    return [name.rstrip("/").rsplit("/", 1)[-1] for name in ask(uri, find)]


def read_bytes(uri: str, if_missing: str = _IF_MISSING) -> bytes:
    """A whole file. `if_missing` is the advice where it does not exist."""
    fs, path = open_filesystem(uri)
    return ask(uri, lambda: read_at_once(fs, path), if_missing)


def open_binary(uri: str) -> Any:
    """A file opened for reading from its start, for those too large to hold."""
    fs, path = open_filesystem(uri)
    return ask(uri, lambda: fs.open(path, "rb"))


def relative(uri: str, folder: str) -> str:
    """The path of a file below a folder; its own name where it does not lie there."""
    path, root = split(uri)[1], split(folder)[1].rstrip("/") + "/"
    return path.removeprefix(root) if path.startswith(root) else path.rsplit("/", 1)[-1]


def is_within(uri: str, folder: str) -> bool:
    """Whether a URI is that of a folder, or of something below it."""
    return f"{uri.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def read_json(uri: str) -> Any:
    """A JSON file."""
    data = read_bytes(uri)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{uri} is not JSON ({error}); it may be truncated") from error


def read_object(uri: str) -> dict[str, object] | None:
    """A JSON object; None where the file's content is something else. BadInput where the file cannot be read."""
    data = read_bytes(uri)
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def file_digest(uri: str) -> str:
    """sha256 of a file, read in pieces."""
    fs, path = open_filesystem(uri)
    digest = hashlib.sha256()

    def feed() -> None:
        with fs.open(path, "rb") as file:
            while piece := file.read(1 << 22):
                digest.update(piece)

    ask(uri, feed)
    return digest.hexdigest()


def commit_bytes(uri: str, data: bytes) -> str:
    """Write a file atomically, read its size back, return its sha256. A full or unwritable disk is BadInput."""
    fs, path = open_filesystem(uri)
    try:
        if isinstance(fs, LocalFileSystem):
            _rename_into_place(path, data)
        else:
            fs.pipe_file(path, data, **one_put(fs))
        size = fs.size(path)
    except STORE_ERRORS as error:
        advice = "; free space, grant access or wait, then run again"
        raise errors.refusal(f"{uri} cannot be written", error, advice) from error
    if size != len(data):
        raise BadInput(f"{uri} holds {size} bytes after {len(data)} were written; the store has lost data, run again")
    return sha256(data)


def commit_json(uri: str, value: Any) -> str:
    """Write JSON atomically: sorted keys, one final newline, the same value the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return commit_bytes(uri, (text + "\n").encode())


def commit_files(uri: str, files: Mapping[str, bytes], last: str) -> dict[str, str]:
    """Write a folder of files, the one named `last` after all others: where it exists, the folder is complete."""
    digests = {name: commit_bytes(join(uri, name), data) for name, data in files.items() if name != last}
    return digests | {last: commit_bytes(join(uri, last), files[last])}


def delete_folder(uri: str) -> None:
    """Remove a folder with everything below it, if it exists."""
    fs, path = open_filesystem(uri)
    if isinstance(fs, LocalFileSystem):
        if os.path.isdir(path) and not os.path.islink(path):
            ask(uri, lambda: shutil.rmtree(path))
        elif os.path.lexists(path):
            ask(uri, lambda: os.unlink(path))
        return

    def find() -> list[str]:
        try:
            return list(fs.find(path))
        except _ABSENT:
            return []

    names = ask(uri, find)
    for start in range(0, len(names), _DELETED_AT_ONCE):
        _delete_objects(uri, fs, names[start : start + _DELETED_AT_ONCE])


def delete_file(uri: str) -> None:
    """Remove a file, if it exists."""
    fs, path = open_filesystem(uri)
    try:
        fs.rm_file(path)
    except FileNotFoundError:
        pass
    except STORE_ERRORS as error:
        raise errors.refusal(f"{uri} cannot be removed", error) from error


def delete_unfinished(uri: str) -> None:
    """Remove what killed writers have left below a local folder; stores never show half an object."""
    directory = local_path(uri)
    for part in directory.rglob(f".*{_PART}*") if directory else ():
        if _UNFINISHED.fullmatch(part.name):
            part.unlink(missing_ok=True)


def local_path(uri: str) -> Path | None:
    """The path behind a URI of this machine's file systems; None for any other."""
    fs, path = open_filesystem(uri)
    return Path(path) if isinstance(fs, LocalFileSystem) else None


def open_filesystem(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path in it that is passed on to the letter.

    Of fsspec only what takes a path to the letter is called: not `url_to_fs`, whose URLs are chained by `::`, and not
    `rm`, `glob`, `cat`, `get` and `put`, whose paths are patterns.
    """
    scheme, path = split(uri)
    if scheme in S3:
        return s3.filesystem(), path
    if scheme == "memory":
        return fsspec.filesystem(scheme), f"/{path}"
    if scheme:
        raise BadInput(f"{uri} is no readable URI ({scheme}:// is not known); allowed are paths, file:// and s3://")
    return fsspec.filesystem("file"), path


def ask(uri: str, question: Callable[[], T], if_missing: str = _IF_MISSING) -> T:
    try:
        return question()
    except FileNotFoundError as error:
        raise BadInput(f"{uri} does not exist; {if_missing}") from error
    except STORE_ERRORS as error:
        raise errors.refusal(f"{uri} cannot be read", error) from error


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


def _delete_objects(uri: str, fs: Any, names: Sequence[str]) -> None:
    """Remove objects by their names; `fs.rm` would take them for patterns and pass over what the store refused."""
    if not _is_s3(fs):
        for name in names:
            fs.rm_file(name)
        return
    keys = [{"Key": name.partition("/")[2]} for name in names]
    request = {"Bucket": split(uri)[1].partition("/")[0], "Delete": {"Objects": keys, "Quiet": True}}
    refused = ask(uri, lambda: fs.call_s3("delete_objects", **request)).get("Errors", [])
    if refused:
        first = refused[0]
        reason = f"{first.get('Code', '')} {first.get('Message', '')}".strip()
        raise BadInput(f"{uri} cannot be removed ({first.get('Key')}: {reason}); grant access, then run again")


def _is_s3(fs: Any) -> bool:
    return "s3" in fs.protocol


def one_put(fs: Any) -> dict[str, int]:
    return {"chunksize": _ONE_PUT_BYTES} if _is_s3(fs) else {}


def read_at_once(fs: Any, path: str) -> bytes:
    # In pieces, s3fs gives up a whole read for one cut connection; at once, it reads again.
    return bytes(fs.cat_file(path, **({"max_concurrency": 1} if _is_s3(fs) else {})))


def _is_there(fs: Any, path: str) -> bool:
    try:
        fs.info(path)  # fs.exists of s3fs takes a bucket that does not answer for one that does not exist
    except _ABSENT:
        return False
    return True


def _modified_seconds(entry: Mapping[str, Any]) -> float:
    """Each file system of fsspec has its own name for the time of last change."""
    time = entry.get("mtime") or entry.get("LastModified") or entry.get("created") or 0.0
    return float(time.timestamp() if hasattr(time, "timestamp") else time)


def _find(uri: str) -> dict[str, dict[str, Any]]:
    """All that lies below a folder by URI, sorted, as its file system describes it."""
    fs, path = open_filesystem(uri)
    scheme = _scheme(uri)

    def find() -> dict[str, dict[str, Any]]:
        return dict(fs.find(path, detail=True))

    entries = sorted(ask(uri, find).items())
    # An object whose key ends in / is how consoles mark a folder.
    return {f"{scheme}{name}": entry for name, entry in entries if not name.endswith("/")}


def _scheme(uri: str) -> str:
    """What a URI has before the names that its file system lists."""
    is_path = not split(uri)[0] and not uri.lower().startswith("file://")
    return "" if is_path else f"{uri.partition('://')[0]}://"


def _is_file(entry: Mapping[str, Any]) -> bool:
    """Whether a path is a file or a link that should lead to one: reading a pipe or a device may never end."""
    if entry["type"] != "other":
        return True
    return bool(entry.get("islink")) and (os.path.isfile(entry["name"]) or not os.path.exists(entry["name"]))


def _is_hidden(name: str, folder: str) -> bool:
    return any(part.startswith((".", "_")) for part in name[len(folder) :].split("/"))
