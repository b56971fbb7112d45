"""One driver at a time on one output.

On a file system a kernel lock, which dies with its process. On an object store a small object that its holder renews:
created, and taken over, by conditional writes. Whether a holder lives is told by whether the object changes while one
watches, never by comparing clocks. Should two drivers run all the same, they write the same files.
"""

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ganrnn.errors import BadInput
from pipelines.storage.conditional import create_bytes, read_tagged, replace_bytes
from pipelines.storage.files import commit_json, delete_file, local_path, read_json
from pipelines.storage.uris import join

RENEW_SECONDS = 10.0
# A holder that has not renewed for this long is dead; it gives up by itself when it cannot renew for half of it.
STALE_SECONDS = 60.0

_LOCK, _LEASE = ".lock", "_lease.json"


@contextmanager
def hold(folder_uri: str) -> Iterator[None]:
    """Work on a folder alone for the length of a block; BadInput where another driver does."""
    directory = local_path(folder_uri)
    with _locked(directory) if directory else _leased(folder_uri):
        yield


def holder(folder_uri: str) -> str | None:
    """Who works on a folder, as far as can be told: "host, process N"."""
    directory = local_path(folder_uri)
    try:
        said = json.loads((directory / _LOCK).read_bytes()) if directory else read_json(_lease_uri(folder_uri))
    except (FileNotFoundError, BadInput, ValueError):
        return None
    if directory and not _is_locked(directory / _LOCK):
        return None
    return _name(said)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _LOCK
    while True:
        file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            with file:
                raise _refusal(str(directory), holder(str(directory)) or "another process") from error
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            break
        file.close()  # its last holder has removed it meanwhile
    with file:
        file.truncate(0)
        file.write(json.dumps(_self()).encode())
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # in a folder that takes no change it stays, and locks nothing
                path.unlink()


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def _leased(folder_uri: str) -> Iterator[None]:
    uri, me = _lease_uri(folder_uri), _self()
    _take(folder_uri, uri, me)
    stopped, lost = threading.Event(), threading.Event()

    def renew() -> None:
        last, count = time.monotonic(), 0
        while not stopped.wait(RENEW_SECONDS) and not lost.is_set():
            count += 1
            try:
                if read_json(uri)["id"] != me["id"]:
                    lost.set()
                    return
                commit_json(uri, me | {"renewals": count})
                last = time.monotonic()
            except (BadInput, KeyError):
                if time.monotonic() - last > STALE_SECONDS / 2:
                    lost.set()

    renewal = threading.Thread(target=renew, name=f"renew {uri}", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stopped.set()
        renewal.join()
        if not lost.is_set():
            delete_file(uri)
    if lost.is_set():
        raise BadInput(f"{uri} was taken over or could not be renewed while this driver worked; run again")


def _take(folder_uri: str, uri: str, me: dict[str, Any]) -> None:
    """Create the lease; where one exists, watch it, and take it over once its holder is known to be dead."""
    data = json.dumps(me).encode()
    if create_bytes(uri, data):
        return
    lease, tag = read_tagged(uri)
    deadline = time.monotonic() + STALE_SECONDS
    while lease is not None and not _is_dead(lease):
        time.sleep(min(1.0, RENEW_SECONDS / 2))
        current, tag = read_tagged(uri)
        if current != lease and current is not None:
            raise _refusal(folder_uri, _name(json.loads(current)))
        if time.monotonic() > deadline or current is None:
            break
    if not (replace_bytes(uri, data, tag) if tag else create_bytes(uri, data)):
        raise _refusal(folder_uri, "another driver")


def _is_dead(lease: bytes) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    said = json.loads(lease)
    return said["machine"] == _machine() and not Path(f"/proc/{said['process']}").exists()


def _self() -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "host": socket.gethostname(), "machine": _machine(), "process": os.getpid()}


def _machine() -> str:
    """Differs between machines, their reboots and containers."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    if not boot.exists():
        return uuid.uuid4().hex
    return f"{boot.read_text().strip()} {os.readlink(namespace)}"


def _name(said: dict[str, Any]) -> str:
    return f"process {said['process']} on {said['host']}"


def _lease_uri(folder_uri: str) -> str:
    return join(folder_uri, _LEASE)


def _refusal(folder_uri: str, who: str) -> BadInput:
    return BadInput(f"{folder_uri} is being worked on by {who}; wait for it to end, or stop it first")
