"""One driver at a time: a second one is refused, a dead one is not waited for, on disk and in a store."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.storage import lease
from tests.pipelines import tiny

HOLD = """
import sys
from pipelines.storage import lease
with lease.hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path / "samples")
    else:
        yield storage.join(request.getfixturevalue("s3_bucket"), f"samples-{tmp_path.name}")


@pytest.fixture
def other(folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lease until it is killed."""
    command = [sys.executable, "-c", HOLD, folder]
    process = subprocess.Popen(command, cwd=tiny.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "STALE_SECONDS", 3.0)


def test_held_and_given_back(folder: str) -> None:
    assert lease.holder(folder) is None
    with lease.hold(folder):
        assert lease.holder(folder) == f"process {os.getpid()} on {socket.gethostname()}"
    assert lease.holder(folder) is None
    with lease.hold(folder):
        pass
    assert storage.list_files(folder) == []


def test_a_second_driver_is_refused_while_the_first_lives(folder: str) -> None:
    with lease.hold(folder):
        with pytest.raises(BadInput, match=r"is being worked on by process \d+ on .*; wait for it"), lease.hold(folder):
            pytest.fail("held twice")
        assert lease.holder(folder)


def test_a_killed_driver_holds_nothing(folder: str, other: subprocess.Popen[bytes]) -> None:
    assert f"process {other.pid}" in (lease.holder(folder) or "")
    other.kill()
    other.wait()
    with lease.hold(folder):
        pass


def test_of_many_that_come_after_a_dead_one_only_one_works(folder: str, other: subprocess.Popen[bytes]) -> None:
    other.kill()
    other.wait()
    won, refused, start, end = [], [], threading.Barrier(6), threading.Event()

    def come(number: int) -> None:
        start.wait()
        try:
            with lease.hold(folder):
                won.append(number)
                end.wait(30)
        except BadInput:
            refused.append(number)
        if len(refused) == 5:
            end.set()

    threads = [threading.Thread(target=come, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(refused) == 5


def test_a_holder_on_another_machine_is_watched(s3_bucket: str) -> None:
    """Unchanged, it is dead; clocks are not compared."""
    folder = storage.join(s3_bucket, "watched")
    said = {"id": "x", "host": "far", "machine": "another", "process": 1}
    storage.commit_bytes(f"{folder}/_lease.json", json.dumps(said).encode())
    with lease.hold(folder):
        assert "far" not in (lease.holder(folder) or "")


def test_a_holder_whose_lease_was_taken_says_so(s3_bucket: str) -> None:
    folder = storage.join(s3_bucket, "taken")
    with pytest.raises(BadInput, match=r"_lease\.json was taken over"), lease.hold(folder):
        storage.commit_json(f"{folder}/_lease.json", {"id": "x", "host": "far", "machine": "y", "process": 1})
        renewal = next(t for t in threading.enumerate() if "renew" in t.name)
        renewal.join(30)
        assert not renewal.is_alive()
