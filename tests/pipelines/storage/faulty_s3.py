"""An S3 store that fails now and then: a server on 127.0.0.1 between S3 clients and moto's, in this process.

    with FaultyS3(seed=3, share=0.2) as server:
        server.create_bucket("pictures")  # clients need `server.environment()`

Whether a request meets a fault follows from the seed, its method and path, and how many requests with the same two came
before it: never from time, so that runs can be repeated. After MAX_IN_A_ROW faults a method and path gets through, and
so does every client that asks often enough. What meets no fault is forwarded byte for byte.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from socket import SHUT_RDWR, socket
from typing import Any, NamedTuple

import boto3
from moto.server import ThreadedMotoServer

# `reset_request` cuts before the store knows of the request, `reset_response` after it has been carried out.
RETRYABLE = ("internal_error", "slow_down", "reset_request", "reset_response", "stall")
KINDS = (*RETRYABLE, "forbidden")
MAX_IN_A_ROW = 2

_REFUSALS = {
    "internal_error": (500, "InternalError", "We encountered an internal error. Please try again."),
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "forbidden": (403, "AccessDenied", "Access Denied"),
    "quota": (403, "QuotaExceeded", "The quota of this account is used up."),
}
_CHECKSUM_VARIABLES = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
_STORE_SECONDS = 60

# They belong to one connection. The store closes its own after each answer; the client's stays open.
_HOP_HEADERS = ("connection", "keep-alive", "transfer-encoding")


class Fault(NamedTuple):
    """`early`: a `reset_request` comes half way through the body, not behind it."""

    kind: str
    early: bool


class Answer(NamedTuple):
    """A response, its body as long as the header says unless the request was HEAD."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


def schedule(seed: int, share: float, kinds: Sequence[str], method: str, path: str) -> Iterator[Fault | None]:
    """What happens to the first, second, ... request of a method and path."""
    in_a_row = 0
    for number in count():
        digest = hashlib.sha256(f"{seed} {number} {method} {path}".encode()).digest()
        draw = int.from_bytes(digest[:8], "big") / 2**64
        met = bool(kinds) and draw < share and in_a_row < MAX_IN_A_ROW
        in_a_row = in_a_row + 1 if met else 0
        yield Fault(kinds[int.from_bytes(digest[8:16], "big") % len(kinds)], bool(digest[16] % 2)) if met else None


class FaultyS3:
    """Start it by `with`. Its buckets are gone afterwards, since all moto servers of a process share their objects.

    `faults_on`, `quota_bytes` and `stall_seconds` may be set at any time. While faults are off requests still count,
    and the quota still holds: a PUT that would leave more than `quota_bytes` in this server's buckets is refused.
    """

    def __init__(
        self, seed: int = 0, share: float = 0.2, kinds: Sequence[str] = RETRYABLE, stall_seconds: float = 1.0
    ) -> None:
        if unknown := sorted(set(kinds) - set(KINDS)):
            raise ValueError(f"kinds has {', '.join(unknown)}; allowed are {', '.join(KINDS)}")
        self.seed, self.share, self.kinds, self.stall_seconds = seed, share, tuple(kinds), stall_seconds
        self.quota_bytes: int | None = None
        self.faults_on = True
        self.injected: Counter[str] = Counter()
        self.closing = threading.Event()
        self.connections: set[socket] = set()
        self._schedules: dict[tuple[str, str], Iterator[Fault | None]] = {}
        self._buckets: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> "FaultyS3":
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        host, port = self.store_address = self._moto.get_host_and_port()
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        self._store = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **keys)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.faulty = self
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        for connection in list(self.connections):
            # A client that keeps its connection would otherwise wait for answers of a store that has gone.
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        self._server.server_close()
        for name in self._buckets:
            for key in self._stored_bytes(name):
                self._store.delete_object(Bucket=name, Key=key)
            self._store.delete_bucket(Bucket=name)
        self._moto.stop()

    def create_bucket(self, name: str) -> None:
        """Meets no faults."""
        self._store.create_bucket(Bucket=name)
        self._buckets.add(name)

    def environment(self) -> dict[str, str]:
        """The variables with which S3 clients of every kind find this server."""
        checksums = dict.fromkeys(_CHECKSUM_VARIABLES, "when_required")
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        return {**keys, **checksums, "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": self.endpoint_url}

    def next_fault(self, method: str, path: str) -> Fault | None:
        """What happens to this request, which now counts. The query is no part of its path: some of it is random."""
        with self._lock:
            if (method, path) not in self._schedules:
                self._schedules[method, path] = schedule(self.seed, self.share, self.kinds, method, path)
            fault = next(self._schedules[method, path])
            if fault is None or not self.faults_on:
                return None
            self.injected[fault.kind] += 1
            return fault

    def refuses(self, method: str, num_bytes: int) -> bool:
        """Whether the quota forbids a request with a body of that size."""
        if self.quota_bytes is None or method != "PUT":
            return False
        stored_bytes = sum(sum(self._stored_bytes(name).values()) for name in self._buckets)
        refused = stored_bytes + num_bytes > self.quota_bytes
        with self._lock:
            self.injected.update({"quota": 1} if refused else {})
        return refused

    def _stored_bytes(self, bucket: str) -> dict[str, int]:
        """By key, and not by way of this server."""
        pages = self._store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False  # `server_close` then waits for what is under way
    faulty: FaultyS3

    def process_request(self, request: Any, client_address: Any) -> None:
        self.faulty.connections.add(request)
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def handle(self) -> None:
        # Clients drop connections too, after an error of their own.
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        self.server.faulty.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        faulty = self.server.faulty
        kind, early = faulty.next_fault(self.command, self.path.split("?")[0]) or ("", False)
        pieces = self._body_pieces()
        body = next(pieces) if kind == "reset_request" and early else b"".join(pieces)
        if kind == "stall":
            faulty.closing.wait(faulty.stall_seconds)
        if kind in ("stall", "reset_request"):
            self.close_connection = True
        elif kind in _REFUSALS:
            self._send(_refusal(kind))
        else:
            answer = _refusal("quota") if faulty.refuses(self.command, len(body)) else self._forward(body)
            self._send(answer, cut=kind == "reset_response")

    do_DELETE = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_GET

    def _body_pieces(self) -> Iterator[bytes]:
        """The body as it came, in two halves or chunk by chunk; chunks keep their frames."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            num_bytes = int(self.headers.get("Content-Length", 0))
            yield self._read(num_bytes // 2)
            yield self._read(num_bytes - num_bytes // 2)
            return
        while num_bytes := int((line := self._read()).split(b";")[0], 16):
            yield line + self._read(num_bytes + len(b"\r\n"))
        while line.strip():
            yield line
            line = self._read()
        yield line

    def _read(self, num_bytes: int | None = None) -> bytes:
        """So many bytes, or a line."""
        data = self.rfile.readline() if num_bytes is None else self.rfile.read(num_bytes)
        if len(data) < (1 if num_bytes is None else num_bytes):
            raise ConnectionResetError("the client went away within a body")
        return data

    def _forward(self, body: bytes) -> Answer:
        with closing(HTTPConnection(*self.server.faulty.store_address, timeout=_STORE_SECONDS)) as store:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                store.putheader(name, value)
            store.endheaders(body)
            response = store.getresponse()
            body = response.read()
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_HEADERS]
        headers += [("Content-Length", str(len(body)))] if response.chunked else []
        return Answer(response.status, response.reason, headers, body)

    def _send(self, answer: Answer, cut: bool = False) -> None:
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.headers)]
        head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
        body = b"" if self.command == "HEAD" else answer.body
        self.close_connection = cut or self.close_connection
        # Never cut within the header: Python's http.client takes what came of it for all of it.
        if not cut or (body and self.command != "PUT"):
            self.wfile.write(head + (body[: len(body) // 2] if cut else body))


def _refusal(kind: str) -> Answer:
    status, code, message = _REFUSALS[kind]
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return Answer(status, HTTPStatus(status).phrase, headers, body.encode())
