"""Seeded schedules of faults against a whole generation, run until it says that it is done, and what is left then.

A schedule draws a store (disk, or an S3 server that fails one request in ten), whether prompts do harm, and up to three
rounds of a driver of its own, each with a fault at a random shard: kill -9 of the driver with all it started, of an
actor, of a node, a full disk, a full quota, a clock that went back. Where the last of them is not done, a
round without fault follows.
"""

import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import psutil
import pyarrow as pa
import pytest
from ray.cluster_utils import Cluster

from pipelines import storage
from tests.pipelines import tiny
from tests.pipelines.storage.faulty_s3 import FaultyS3
from tests.pipelines.tiny import Run

NUM_PROMPTS, SHARD_ROWS = 600, 10
DISK_FAULTS = ("driver", "actor", "node", "clock", "disk")
S3_FAULTS = ("driver", "actor", "node", "quota")
DEADLINE_SECONDS = 240


@dataclass
class Outcome:
    """What schedules did and what they left: the sums of all of them."""

    schedules: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rows_lost: int = 0
    rows_doubled: int = 0
    objects_differing: int = 0
    objects_left_over: int = 0

    def __iadd__(self, other: "Outcome") -> "Outcome":
        self.schedules += other.schedules
        self.faults += other.faults
        self.rows_lost += other.rows_lost
        self.rows_doubled += other.rows_doubled
        self.objects_differing += other.objects_differing
        self.objects_left_over += other.objects_left_over
        return self

    def line(self) -> str:
        """For people."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.schedules} schedules, {sum(self.faults.values())} faults ({kinds}): "
            f"{self.rows_lost} rows lost, {self.rows_doubled} doubled, "
            f"{self.objects_differing} objects differing, {self.objects_left_over} left over"
        )


def prompt_ids() -> list[str]:
    return [f"p{row:03d}" for row in range(NUM_PROMPTS)]


def write_prompts(uri: str, with_harm: bool) -> None:
    """Prompts of which, with harm, one in a hundred makes the model fail."""
    texts = ["a small red circle at the left", "黑色背景上有一个大的蓝色正方形", "a large green triangle"]
    harm = [" RAISE" if with_harm and row % 100 == 37 else "" for row in range(NUM_PROMPTS)]
    prompts = [texts[row % 3] + harm[row] for row in range(NUM_PROMPTS)]
    storage.commit_table(uri, pa.table({"prompt_id": prompt_ids(), "prompt": prompts}), row_group_rows=100)


class Reference:
    """The undisturbed generations that every schedule has to equal, made when first asked for."""

    def __init__(self, trained: Run, folder: Path) -> None:
        self.trained, self.folder = trained, folder

    def samples(self, with_harm: bool) -> Path:
        """The folder of samples of the prompts with or without harm."""
        samples = self.folder / f"harm-{with_harm}"
        if not samples.exists():
            uri = str(self.folder / f"prompts-{with_harm}.parquet")
            write_prompts(uri, with_harm)
            done = tiny.run(command(self.trained, uri, str(samples)))
            assert done.returncode == 0, done.stderr
        return samples


def command(trained: Run, prompts_uri: str, samples_uri: str) -> list[str]:
    """The driver."""
    return trained.command(
        "generate",
        f"generate.model_uri={trained.folder}/checkpoints",
        f"generate.prompts_uri={prompts_uri}",
        f"generate.samples_uri={samples_uri}",
        f"generate.sampling.shard_rows={SHARD_ROWS}",
        "generate.sampling.num_workers=2",
    )


def play(scratch: Path, trained: Run, reference: Reference, seed: int, most_faults: int = 3) -> Outcome:
    """One schedule in a folder of its own, in a process of its own."""
    outcome = Outcome()
    (scratch / str(seed)).mkdir()
    run(seed, trained, reference, scratch / str(seed), outcome, most_faults)
    return outcome


def run(seed: int, trained: Run, reference: Reference, folder: Path, outcome: Outcome, most_faults: int = 3) -> None:
    """Play one schedule to its end and add what it left to `outcome`."""
    draw = random.Random(seed)
    with_harm = draw.random() < 0.5
    undisturbed = reference.samples(with_harm)
    on_s3 = draw.random() < 0.5
    faults = [draw.choice(S3_FAULTS if on_s3 else DISK_FAULTS) for _ in range(draw.randint(1, most_faults))]
    with _store(seed, on_s3, folder) as place:
        write_prompts(f"{place.uri}/prompts.parquet", with_harm)
        words = command(trained, f"{place.uri}/prompts.parquet", f"{place.uri}/samples")
        for number, fault in enumerate([*faults, None]):
            after = draw.randint(1, NUM_PROMPTS // SHARD_ROWS // 2)
            done = _round(words, place, fault, after * (number + 1) // 2, outcome)
            if done and number >= len(faults) - 1:
                break
        else:
            raise AssertionError(f"schedule {seed} ({place.uri}, {faults}) did not end well")
        outcome.faults.update(place.server.injected if place.server else {})
        if place.server:
            place.server.faults_on = False
        _compare(f"{place.uri}/samples", undisturbed, outcome)
    outcome.schedules += 1


@dataclass
class Place:
    """Where a schedule writes. `environment` is that of the drivers."""

    uri: str
    environment: Mapping[str, str]
    server: FaultyS3 | None = None

    def num_shards(self) -> int:
        """Files of samples that are there."""
        with suppress(Exception):
            return sum("-" in uri.rsplit("/", 1)[-1] for uri in storage.list_files(f"{self.uri}/samples", ".parquet"))
        return 0


@contextmanager
def _store(seed: int, on_s3: bool, folder: Path) -> Iterator[Place]:
    if not on_s3:
        yield Place(str(folder), tiny.own_session())
        return
    with FaultyS3(seed=seed, share=0.1) as server, pytest.MonkeyPatch.context() as variables:
        for name, value in server.environment().items():
            variables.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        server.create_bucket("faults")
        yield Place("s3://faults/run", tiny.own_session(), server)
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def _round(words: list[str], place: Place, fault: str | None, after: int, outcome: Outcome) -> bool:
    """One driver, one fault once `after` shards are there; whether it said that all is done."""
    environment = dict(place.environment)
    with _cluster(environment, fault == "node") as cluster, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            words, cwd=tiny.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        try:
            if fault in _ACTIONS and _wait(lambda: place.num_shards() >= after, process):
                outcome.faults[fault] += _ACTIONS[fault](process, place, cluster)
            code = process.wait(DEADLINE_SECONDS)
        finally:
            tiny.kill(process)
            _undo(place)
        said.seek(0)
        errors = said.read().decode(errors="replace")
    is_told = any(line.startswith("ganrnn: ") for line in errors.splitlines()) and "Traceback" not in errors
    if code not in (0, -9) and not (code in (1, 2) and is_told):
        raise AssertionError(f"the driver ended with {code} after {fault}: {errors[-3000:]}")
    return code == 0


def _wait(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Until it holds or the process has ended; whether it holds while the process lives."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if holds():
            return process.poll() is None
        time.sleep(0.01)
    return False


def _kill_driver(process: subprocess.Popen[bytes], place: Place, cluster: Any) -> int:
    tiny.kill(process)
    return 1


def _kill_actor(process: subprocess.Popen[bytes], place: Place, cluster: Any) -> int:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "_Actor" in " ".join(child.cmdline()):
                    child.kill()
                    return 1
    return 0


def _kill_node(process: subprocess.Popen[bytes], place: Place, cluster: Any) -> int:
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
    _add_node(cluster, place.environment)
    return 1


def _move_clock(process: subprocess.Popen[bytes], place: Place, cluster: Any) -> int:
    """The machine is lost, and the one that goes on has a clock that is a day behind the files."""
    tiny.kill(process)
    tomorrow = time.time() + 86_400
    for path in Path(place.uri, "samples").iterdir():
        os.utime(path, (tomorrow, tomorrow))
    return 1


def _fill_disk(process: subprocess.Popen[bytes], place: Place, cluster: Any) -> int:
    """What a full disk does to a writer: the folder takes no new file. Where root cannot have that, the driver dies."""
    samples = Path(place.uri, "samples")
    if os.geteuid():
        samples.chmod(0o555)
        return 1
    done = subprocess.run(["chattr", "+i", str(samples)], check=False, capture_output=True)
    return 1 if done.returncode == 0 else _kill_driver(process, place, cluster)


def _fill_quota(process: subprocess.Popen[bytes], place: Place, cluster: Any) -> int:
    assert place.server
    place.server.quota_bytes = 1
    return 1


def _undo(place: Place) -> None:
    if place.server:
        place.server.quota_bytes = None
    elif os.geteuid():
        with suppress(FileNotFoundError):
            Path(place.uri, "samples").chmod(0o755)
    else:
        subprocess.run(["chattr", "-i", f"{place.uri}/samples"], check=False, capture_output=True)


_ACTIONS: dict[str | None, Callable[[subprocess.Popen[bytes], Place, Any], int]] = {
    "driver": _kill_driver,
    "actor": _kill_actor,
    "node": _kill_node,
    "clock": _move_clock,
    "disk": _fill_disk,
    "quota": _fill_quota,
}


def _add_node(cluster: Any, environment: Mapping[str, str]) -> None:
    """A node whose workers know the harmful prompts, as the driver's do."""
    with mock.patch.dict(os.environ, {"PYTHONPATH": environment["PYTHONPATH"]}):
        cluster.add_node(num_cpus=1)


@contextmanager
def _cluster(environment: dict[str, str], wanted: bool) -> Iterator[Any]:
    """A head without CPUs and two nodes of one, for a driver in a process of its own."""
    if not wanted:
        yield None
        return
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            _add_node(cluster, environment)
        environment["RAY_ADDRESS"] = cluster.address
        yield cluster
    finally:
        cluster.shutdown()


def _compare(samples_uri: str, undisturbed: Path, outcome: Outcome) -> None:
    """Rows against the prompts, files against those of the undisturbed run, the folder against the manifest."""
    manifest = storage.read_json(f"{samples_uri}/manifest.json")
    expected = storage.read_json(f"{undisturbed}/manifest.json")
    names = [shard["uri"] for shard in manifest["shards"]]
    ids = Counter(storage.read_table([f"{samples_uri}/{n}" for n in names], ["prompt_id"]).column(0).to_pylist())
    rejects = storage.read_table([f"{samples_uri}/rejects.parquet"]).column("id").to_pylist()
    outcome.rows_lost += sum(i not in ids and i not in rejects for i in prompt_ids())
    outcome.rows_doubled += sum(count - 1 for count in ids.values()) + sum(i in ids for i in rejects)
    outcome.objects_differing += sum(a != b for a, b in zip(manifest["shards"], expected["shards"], strict=True))
    for name in names:
        same = storage.read_bytes(f"{samples_uri}/{name}") == (undisturbed / name).read_bytes()
        outcome.objects_differing += not same
    there = {storage.relative(uri, samples_uri) for uri in storage.list_files(samples_uri)}
    if directory := storage.local_path(samples_uri):
        there |= {path.name for path in directory.iterdir()}
        receipts = {path.name.removesuffix(".json") for path in (directory / "_receipts").iterdir()}
        outcome.objects_left_over += len(receipts - {*names})
    kept = {"manifest.json", "plan.json", "rejects.parquet", "_receipts"}
    outcome.objects_left_over += len(there - {*names, *kept})
