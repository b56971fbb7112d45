"""A study small enough for a test: its sources, a server in a process that can be killed, raters that never give up."""

import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pyarrow as pa
import uvicorn

from ganrnn.data.images import encode_png
from pipelines import storage
from pipelines.config.loader import bare_recipe
from pipelines.config.rate import RateConfig
from pipelines.config.recipe import Recipe
from pipelines.rate.access import Invites
from pipelines.rate.server import make_app
from pipelines.rate.study import Study
from tests.pipelines.tiny import ROOT, wait_until

SECRET = "0123456789abcdef0123456789abcdef"


def pictures(uri: str, count: int, tone: int = 60, size: int = 16, first: int = 0) -> str:
    """A Parquet file of plain noise around a tone, which tells one source from another; ids and prompts by number."""
    rng = np.random.default_rng(tone)
    rows = [
        {
            "sample_id": f"p{number}/0",
            "prompt_id": f"p{number}",
            "prompt": f"picture {number} 图",
            "image": {"bytes": encode_png(rng.integers(tone, tone + 40, (size, size, 3), np.uint8)), "path": ""},
        }
        for number in range(first, first + count)
    ]
    storage.commit_table(uri, pa.Table.from_pylist(rows), row_group_rows=7)
    return uri


def texts(uri: str, column: str, held: Sequence[str]) -> str:
    """A Parquet file of texts under a column."""
    rows = {"id": [f"t{number}" for number in range(len(held))], column: list(held)}
    storage.commit_table(uri, pa.table(rows), row_group_rows=7)
    return uri


def study_recipe(folder: Path, *overrides: str) -> Recipe:
    """What `ganrnn rate` makes of overrides, everything below a folder."""
    return bare_recipe("rate", [f"run_uri={folder}", f"tracking.tracking_uri=sqlite:///{folder}/mlflow.db", *overrides])


@contextmanager
def page(study: Study, rate: RateConfig) -> Iterator[Callable[[], "Rater"]]:
    """The application on a real uvicorn in this process; gives raters, each one new."""
    invites = Invites(SECRET, study.store.about["study_id"], rate.invite_days)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(make_app(study, invites, rate), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield lambda: Rater(f"http://127.0.0.1:{listening.getsockname()[1]}", invites.new())
        finally:
            server.should_exit = True
            thread.join()


@dataclass
class Server:
    """`ganrnn rate` of two sources in a folder, always at the port that it had first."""

    folder: Path
    samples: str
    reference: str
    overrides: tuple[str, ...] = ()
    address: str = ""
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def command(self, *more: str) -> list[str]:
        """The command with further words."""
        port = urlsplit(self.address).port or 0
        settings = (f"rate.study_uri={self.folder}/study", f"rate.port={port}", *self.overrides)
        words = [word for setting in settings for word in ("--set", setting)]
        return [sys.executable, "-m", "jobs", "rate", self.samples, self.reference, *words, *more]

    def start(self) -> None:
        """Come back when the page is served."""
        variables = os.environ | {"GANRNN_RATE_SECRET": SECRET}
        self.process = subprocess.Popen(self.command(), cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line.startswith("rating page at http://"), line
        self.address = line.split()[3].rstrip(",")

    def kill(self) -> None:
        """As when the machine is lost."""
        assert self.process and self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def serving(folder: Path, samples: str, reference: str, *overrides: str) -> Iterator[Server]:
    """A server that is gone afterwards."""
    server = Server(folder, samples, reference, overrides)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class Rater:
    """A page without a screen: asks, answers and sends again what was not acknowledged."""

    address: str
    token: str
    acknowledged: dict[int, str] = field(default_factory=dict)
    num_failed_requests: int = 0

    @property
    def name(self) -> str:
        """The rater in the study."""
        return self.token.split(".")[0]

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body of one request, without another try."""
        return self.open(method, path)[:2]

    def open(self, method: str, path: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        """The same with the headers."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def insist(self, method: str, path: str) -> tuple[int, bytes]:
        """The same until the server is there and has something to say."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                status, body = self.ask(method, path)
                if status < 500 and status != 429:
                    return status, body
            except (OSError, http.client.HTTPException):
                self.num_failed_requests += 1
            time.sleep(0.02)
        raise TimeoutError(f"{self.address} was not there for two minutes")

    def next(self) -> dict[str, Any]:
        """The question whose turn it is."""
        status, body = self.insist("GET", "/api/next")
        assert status == 200, body
        asked: dict[str, Any] = json.loads(body)
        return asked

    def answer(self, trial: int, choice: str, **more: Any) -> int:
        """Status of an answer."""
        query = urlencode({"choice": choice, "language": "en", **more})
        status, _ = self.insist("PUT", f"/api/trials/{trial}?{query}")
        if status == 200:
            self.acknowledged[trial] = choice
        return status

    def run(self, choose: Callable[[dict[str, Any]], str]) -> None:
        """All questions to the last."""
        while not (asked := self.next())["done"]:
            for side in range(asked["num_items"]):
                status, _ = self.insist("GET", f"/api/trials/{asked['trial']}/{side}")
                assert status == 200
            assert self.answer(asked["trial"], choose(asked)) == 200


def tokens(server: Server, count: int) -> list[str]:
    """Invites to a server's study."""
    variables = os.environ | {"GANRNN_RATE_SECRET": SECRET}
    command = server.command("--invite", str(count))
    links = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout
    return [urlsplit(link).fragment for link in links.split()]


def killed_while_rating(server: Server, raters: Sequence[Rater], num_kills: int) -> list[tuple[str, int, str]]:
    """What a study holds, as (rater, trial, choice), after raters answered at once and the server was killed meanwhile.

    Each rater answers by chance; kills come at equal parts of all answers, the server is started again after each.
    """
    num_trials = raters[0].next()["num_trials"]
    threads = [threading.Thread(target=rater.run, args=(_by_chance(rater),)) for rater in raters]
    for thread in threads:
        thread.start()
    for kill in range(1, num_kills + 1):
        due = kill * len(raters) * num_trials // (num_kills + 1)
        wait_until(lambda due=due: sum(len(rater.acknowledged) for rater in raters) >= due, "answers")  # type: ignore[misc]
        server.kill()
        server.start()
    for thread in threads:
        thread.join()
    with closing(sqlite3.connect(server.folder / "study/study.sqlite")) as connection:
        held: list[tuple[str, int, str]] = connection.execute("select rater, trial, choice from answers").fetchall()
    return held


def _by_chance(rater: Rater) -> Callable[[dict[str, Any]], str]:
    """Checks are heeded; else a choice that changes from trial to trial and from rater to rater."""
    return lambda asked: (
        asked["check"] or ("real", "generated")[zlib.crc32(f"{rater.name} {asked['trial']}".encode()) % 2]
    )
