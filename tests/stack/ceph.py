"""Debian's Ceph gateway as an S3 server for tests: it persists, checks credentials, and enforces conditions and quotas.

    with CephGateway(folder) as s3:
        os.environ.update(s3.environment())

The packages are fetched once (debian.py). One monitor, one OSD (BlueStore on a sparse file) and radosgw then run from
there on 127.0.0.1, with all data below `folder`, which must lie on a disk: BlueStore needs O_DIRECT.
"""

import os
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, ReadTimeoutError

from tests.stack.debian import unpacked

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
START_SECONDS = 180
STOP_SECONDS = 15

# The daemons find their plug-ins by absolute path. Size 1 and no manager: one disk, nobody to balance. The short
# paxos intervals make the gateway's pools in 3 s instead of 12. Quotas need no setting: a lone gateway knows of all
# writes, and radosgw-admin tells it of new limits.
CONFIG = """\
[global]
fsid = {fsid}
mon_host = {mon_host}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
keyring = {folder}/keyring
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}
run_dir = {folder}
crash_dir = {folder}
admin_socket =
pid_file =
log_file =
log_to_stderr = true
debug_rocksdb = 0
mon_cluster_log_file =
plugin_dir = {libraries}/ceph
erasure_code_dir = {libraries}/ceph/erasure-code
osd_class_dir = {libraries}/rados-classes
ms_bind_retry_delay = 1
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_mon_shutdown_timeout = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_objectstore = bluestore
bluestore_block_size = 8589934592
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
rgw_thread_pool_size = 64
rgw_frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
"""


class CephGateway:
    """A running gateway with one user; the same folder holds its data over `restart`."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()
        self.access_key = secrets.token_hex(10).upper()
        self.secret_key = secrets.token_hex(20)
        *self._mon_ports, self._gateway_port = _free_ports(3)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._programs = Path()

    @property
    def endpoint_url(self) -> str:
        """http://127.0.0.1:PORT, the same after a restart."""
        return f"http://127.0.0.1:{self._gateway_port}"

    def __enter__(self) -> Self:
        self._programs = programs()
        with ExitStack() as undo:
            undo.callback(self._stop)
            self._make_cluster()
            self._start_cluster()
            keys = (f"--access-key={self.access_key}", f"--secret-key={self.secret_key}")
            self._run("radosgw-admin", "user", "create", "--uid=ganrnn", "--display-name=ganrnn", *keys)
            self._start_gateway()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def restart(self) -> None:
        """Stop all daemons and start them again on what they have stored."""
        self._stop()
        with ExitStack() as undo:
            undo.callback(self._stop)
            self._start_cluster()
            self._start_gateway()
            undo.pop_all()

    def environment(self) -> dict[str, str]:
        """The variables by which every S3 client finds the gateway; Ceph 16 knows no checksums in trailers."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def client(self) -> Any:
        """A boto3 client, to see what is stored by another way than the code under test."""
        keys = {"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key}
        patience = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
        return boto3.client("s3", endpoint_url=self.endpoint_url, region_name="us-east-1", config=patience, **keys)

    def create_bucket(self, name: str) -> None:
        """A new bucket; Ceph wants three letters or more."""
        self.client().create_bucket(Bucket=name)

    def set_quota(self, bucket: str, max_bytes: int) -> None:
        """Refuse from now on what would take a bucket over this size; Ceph counts each object in blocks of 4096."""
        scope = ("--quota-scope=bucket", f"--bucket={bucket}")
        self._run("radosgw-admin", "quota", "set", *scope, f"--max-size={max_bytes}", "--max-objects=-1")
        self._run("radosgw-admin", "quota", "enable", *scope)

    def remove_quota(self, bucket: str) -> None:
        """Let a bucket grow again."""
        self._run("radosgw-admin", "quota", "disable", "--quota-scope=bucket", f"--bucket={bucket}")

    def _make_cluster(self) -> None:
        """The empty stores of one monitor, that knows of one OSD, and of that OSD; no daemon is needed for it."""
        for name in ("mon", "osd"):
            (self.folder / name).mkdir(parents=True)
        fsid, mon_host = str(uuid.uuid4()), "[v2:127.0.0.1:{},v1:127.0.0.1:{}]".format(*self._mon_ports)
        places = {"folder": self.folder, "libraries": _libraries(self._programs), "gateway_port": self._gateway_port}
        (self.folder / "ceph.conf").write_text(CONFIG.format(fsid=fsid, mon_host=mon_host, **places))
        keyring, monmap, osdmap = (str(self.folder / name) for name in ("keyring", "monmap", "osdmap"))
        everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "--name", "mon.", *everything)
        self._run("ceph-authtool", keyring, "--gen-key", "--name", "client.admin", *everything)
        self._run("ceph-authtool", keyring, "--gen-key", "--name", "osd.0", *everything)
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", mon_host, monmap)
        self._run("osdmaptool", "--createsimple", "1", osdmap)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--osdmap", osdmap, "--keyring", keyring)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--no-mon-config", "--monmap", monmap, "--osd-uuid", fsid)

    def _start_cluster(self) -> None:
        self._start("ceph-mon", "-i", "a")
        self._start("ceph-osd", "-i", "0")

    def _start_gateway(self) -> None:
        self._start("radosgw", "--name", "client.admin")
        self._wait("radosgw answers no request", self._answers)

    def _answers(self) -> bool:
        # Asked as our user, so that another server on our port is not taken for ours.
        with suppress(ClientError, ConnectionError, ReadTimeoutError):
            self.client().list_buckets()
            return True
        return False

    def _start(self, daemon: str, *arguments: str) -> None:
        self._daemons[daemon] = self._spawn(daemon, "-f", *arguments)

    def _run(self, tool: str, *arguments: str) -> None:
        """Run a tool to its end, while all daemons live."""
        process = self._spawn(tool, *arguments)
        try:
            self._wait(f"{tool} does not end", lambda: process.poll() is not None)
        finally:
            _end(process)
        if process.returncode:
            words, end = " ".join([tool, *arguments]), _tail(self._log(tool))
            raise RuntimeError(f"{words} failed with {process.returncode}:\n{end}")

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # The kernel ends the daemons if this process dies without a chance to do so.
        command = ["setpriv", "--pdeathsig", "KILL", str(self._programs / "usr/bin" / program), *arguments]
        with self._log(program).open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._variables())

    def _log(self, program: str) -> Path:
        return self.folder / f"{program}.log"

    def _wait(self, problem: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    raise RuntimeError(f"{name} ended:\n{_tail(self._log(name))}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{problem} after {START_SECONDS} s; see the logs in {self.folder}")
            time.sleep(0.05)

    def _variables(self) -> Mapping[str, str]:
        libraries = _libraries(self._programs)
        # Debian 12 still has some libraries in /lib beside /usr/lib.
        path = [libraries, libraries / "ceph", self._programs / "lib" / libraries.name]
        return os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, path)), "CEPH_CONF": str(self.folder / "ceph.conf")}

    def _stop(self) -> None:
        # Last started, first ended: each still finds the one that it says goodbye to.
        while self._daemons:
            _end(self._daemons.popitem()[1])


def programs() -> Path:
    """The folder that Ceph is unpacked in, filled first if need be. Raises Unavailable."""
    return unpacked("ceph", PACKAGES, needed=("setpriv",))


def _libraries(root: Path) -> Path:
    """usr/lib/x86_64-linux-gnu, or what it is called on this machine."""
    return next((root / "usr/lib").glob("*-linux-gnu*"))


def _free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    return ports


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path, lines: int = 5) -> str:
    written = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(written[-lines:])
