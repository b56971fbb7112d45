"""The generation recipe through `ray job submit` writes the bytes that it writes on embedded Ray.

A one-node cluster of this test's own runs on free ports, its dashboard on 127.0.0.1, with the token authentication
that Ray has by default, and gets an upload of the checkout as a user would send it.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pytest

from ganrnn import checkpoint
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import Vocabulary
from pipelines import storage
from pipelines.formats.manifest import MANIFEST

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROMPTS = ["a red circle", "a small blue square at the top", "红色圆形", "a word that nobody taught"]
NUM_PROMPTS = 20
NUM_SHARDS = 3
SECONDS_TO_START = 60
SECONDS_TO_STOP = 10

pytestmark = [
    pytest.mark.slow("starts a cluster and submits jobs to it"),
    pytest.mark.skipif(
        importlib.util.find_spec("aiohttp") is None, reason="ray[default] is not installed: no dashboard takes jobs"
    ),
    pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="no git checkout to upload"),
]


@dataclass(frozen=True)
class Cluster:
    """Where jobs are sent, where metrics are read, and the variables that let a client in."""

    address: str
    metrics_url: str
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git would hold of this checkout: no environment, no runs."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    folder = tmp_path_factory.mktemp("upload")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that was never trained, and prompts."""
    folder = tmp_path_factory.mktemp("inputs")
    config = TextToImageConfig(height=16, width=16, base_channels=4, hidden_dim=8, embedding_dim=8, style_dim=16)
    task = TextToImage(config, Vocabulary.build(PROMPTS[:3]), seed=1)
    storage.commit_files(f"{folder}/model", checkpoint.pack(task, {}, {}), last=checkpoint.DESCRIPTION)
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(NUM_PROMPTS)]
    table = pa.table({"prompt_id": [f"p{i}" for i in range(NUM_PROMPTS)], "prompt": prompts})
    storage.commit_table(f"{folder}/prompts.parquet", table)
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One node, ended by the process ids of what was started here."""
    with ExitStack() as stack:
        # Ray's sockets lie below its folder, and their paths may have 107 characters: pytest's folders are too long.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        log = stack.enter_context(Path(folder, "start.log").open("w+"))
        gcs, dashboard, agent_http, agent_grpc, client, metrics = free_ports(6)
        ports = {"": gcs, "dashboard-": dashboard, "dashboard-agent-listen-": agent_http}
        ports |= {"dashboard-agent-grpc-": agent_grpc, "ray-client-server-": client}
        ports |= {"min-worker-": 0, "max-worker-": 0}
        command = [str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=2", "--dashboard-host=127.0.0.1"]
        command += [f"--{name}port={port}" for name, port in ports.items()]
        command += [f"--metrics-export-port={metrics}", f"--temp-dir={folder}", "--disable-usage-stats"]
        environment = clean_environment() | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # After a job has run, a node that drains first needs more than 20 s to end.
        environment |= {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", "RAY_metrics_report_interval_ms": "500"}
        node = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        stack.callback(end, node)
        address = f"http://127.0.0.1:{dashboard}"
        # The dashboard hands jobs to its agent, which may come up much later; it waits a few seconds for it.
        asked = (f"{address}/api/version", f"http://127.0.0.1:{agent_http}/api/local_raylet_healthz")
        if not all(wait_until_up(node, url, environment["RAY_AUTH_TOKEN"]) for url in asked):
            log.seek(0)
            pytest.skip(f"no dashboard came up on this machine: {log.read()[-2_000:]}")
        yield Cluster(address, f"http://127.0.0.1:{metrics}/metrics", environment)


def test_a_submitted_job_writes_the_bytes_of_the_embedded_run(cluster: Cluster, upload: Path, inputs: Path) -> None:
    submit = [str(BIN / "ray"), "job", "submit", "--address", cluster.address, "--working-dir", str(upload), "--"]
    run([*submit, "python", *generate(inputs, "submitted")], upload, cluster.environment)
    assert_exported(cluster, inputs / "submitted")
    run([sys.executable, *generate(inputs, "embedded")], upload, clean_environment())

    submitted, embedded = inputs / "submitted", inputs / "embedded"
    names = [path.name for path in sorted(embedded.glob("*-*.parquet"))]
    assert len(names) == NUM_SHARDS
    assert [path.name for path in sorted(submitted.glob("*-*.parquet"))] == names
    assert all((submitted / name).read_bytes() == (embedded / name).read_bytes() for name in names)
    manifest = storage.read_json(f"{submitted}/{MANIFEST}")
    assert manifest["totals"]["samples"] == NUM_PROMPTS
    assert manifest["shards"] == storage.read_json(f"{embedded}/{MANIFEST}")["shards"]
    # It was the upload that ran, which is no git checkout, and not the package that is installed from one.
    assert manifest["code_revision"] == version("ganrnn")


def assert_exported(cluster: Cluster, samples: Path) -> None:
    """Ray's Prometheus exporter tells how many prompts were done. The gauges end with the driver, the counter stays."""
    deadline, found = time.monotonic() + SECONDS_TO_STOP, dict[str, float]()
    while found.get("prompts_total") != NUM_PROMPTS and time.monotonic() < deadline:
        with urllib.request.urlopen(cluster.metrics_url, timeout=5) as answer:
            lines = [line for line in answer.read().decode().splitlines() if f'output="{samples}"' in line]
        found = {line.partition("{")[0].removeprefix("ray_ganrnn_"): float(line.split()[-1]) for line in lines}
        time.sleep(0.1)
    assert found.get("prompts_total") == NUM_PROMPTS, found


def generate(inputs: Path, name: str) -> list[str]:
    """`-m jobs generate RECIPE --set ...`, all paths absolute, samples below `inputs/name`."""
    settings = {
        "generate.model_uri": inputs / "model",
        "generate.prompts_uri": inputs / "prompts.parquet",
        "generate.samples_uri": inputs / name,
        "generate.sampling.shard_rows": 8,
        "generate.sampling.num_workers": 1,
        "tracking.tracking_uri": f"sqlite:///{inputs}/mlflow.db",
        "tracking.artifact_uri": inputs / "mlartifacts",
    }
    overrides = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["-m", "jobs", "generate", "jobs/recipes/demo.yaml", *overrides]


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    """A command that has to end with exit code 0."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"


def clean_environment() -> dict[str, str]:
    """This process's variables without those that point to a cluster, and with its Python first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def free_ports(num_ports: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_ports)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]


def wait_until_up(node: "subprocess.Popen[bytes]", url: str, token: str) -> bool:
    """Whether somebody answers there before the time is over or the node is gone."""
    question = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + SECONDS_TO_START
    while node.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(question, timeout=2):
            return True
        time.sleep(0.1)
    return False


def end(node: "subprocess.Popen[bytes]") -> None:
    """End the node and everything below it."""
    below = descendants(node.pid)
    node.terminate()
    with suppress(subprocess.TimeoutExpired):
        node.wait(SECONDS_TO_STOP)
    node.kill()
    node.wait()
    # Ray's processes end with their parent; what does not is ended here.
    deadline = time.monotonic() + SECONDS_TO_STOP
    while any(parent(pid) for pid in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in below:
        if parent(pid):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Process ids below one, as far as this system has /proc."""
    parents = {int(folder.name): parent(int(folder.name)) for folder in Path("/proc").glob("[0-9]*")}
    found = [pid]
    for current in found:
        found += [child for child, its_parent in parents.items() if its_parent == current]
    return found[1:]


def parent(pid: int) -> int | None:
    """None where the process is gone or has ended and waits to be collected."""
    try:
        state, its_parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(its_parent)
