"""A study in one SQLite file: its items, what was shown, every answer, which is on disk when `answer` returns.

Write-ahead log with synchronous=FULL: a commit returns after its fsync. One connection, used in turns; another process,
such as the report, may read meanwhile. The file has to lie on a disk of this machine.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from ganrnn.errors import BadInput
from pipelines.rate.items import Item

FILE = "study.sqlite"

_TABLES = (
    "create table study (about text not null)",
    "create table items (item integer primary key, source text not null, key text not null, prompt text not null, "
    "digest text not null, content blob not null)",
    "create table shown (rater text, trial integer, side integer, at real not null, primary key (rater, trial, side)) "
    "without rowid",
    "create table answers (rater text, trial integer, kind text not null, items text not null, expected text, "
    "choice text not null, seen integer not null, seconds real, language text not null, at real not null, "
    "primary key (rater, trial)) without rowid",
)


class Refused(Exception):
    """An answer that contradicts one that was given, or that is not the rater's turn."""


@dataclass(frozen=True)
class Answer:
    """What a rater chose; `seen` is false where the item had vanished before the page could show it."""

    rater: str
    trial: int
    kind: str
    items: tuple[int, ...]
    expected: str | None
    choice: str
    seen: bool
    seconds: float | None
    language: str
    at: float


class Store:
    """A study's file, opened; made by `create`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        if not study_exists(folder):
            raise BadInput(f"{self._path} does not exist; the study begins with `ganrnn rate` without a flag")
        self._lock = threading.Lock()
        self._connection = _connect(self._path)
        self.about: dict[str, Any] = json.loads(self._one("select about from study")[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def pools(self) -> dict[str, list[int]]:
        """The numbers of the items of each source, in their order."""
        pools: dict[str, list[int]] = {name: [] for name in self.about["sources"]}
        for item, source in self._all("select item, source from items order by item"):
            pools[source].append(item)
        return pools

    def item(self, number: int) -> Item:
        """One item."""
        return Item(*self._one("select source, key, prompt, content from items where item = ?", number))

    def items(self) -> dict[int, tuple[str, str, str]]:
        """Source, key and digest of all items by number."""
        rows = self._all("select item, source, key, digest from items")
        return {item: (source, key, digest) for item, source, key, digest in rows}

    def num_answered(self, rater: str) -> int:
        """How many trials a rater has behind; the number of the next one."""
        return int(self._one("select count(*) from answers where rater = ?", rater)[0])

    def is_shown(self, rater: str, trial: int) -> bool:
        """Whether any side of a trial was shown already."""
        return bool(self._one("select count(*) from shown where rater = ? and trial = ?", rater, trial)[0])

    def show(self, rater: str, trial: int, side: int) -> bool:
        """Note that an item is shown now; False where it was before."""
        with self._transaction() as connection:
            row = (rater, trial, side, time.time())
            return connection.execute("insert or ignore into shown values (?, ?, ?, ?)", row).rowcount == 1

    def answer(self, answer: Answer) -> None:
        """Store an answer, once however often it comes. Refused for another answer to the trial, or out of turn."""
        with self._transaction() as connection:
            who = (answer.rater, answer.trial)
            before = connection.execute("select choice from answers where rater = ? and trial = ?", who).fetchone()
            if before is not None:
                if before[0] != answer.choice:
                    raise Refused(f"trial {answer.trial} was answered {before[0]!r}")
                return
            number = connection.execute("select count(*) from answers where rater = ?", who[:1]).fetchone()[0]
            if number != answer.trial:
                raise Refused(f"trial {number} is next, not {answer.trial}")
            row = [json.dumps(value) if isinstance(value, tuple) else value for value in astuple(answer)]
            connection.execute(f"insert into answers values ({', '.join('?' * len(row))})", row)

    def answers(self) -> list[Answer]:
        """All answers, by rater and trial."""
        rows = self._all("select * from answers order by rater, trial")
        return [Answer(r, t, k, tuple(json.loads(i)), e, c, bool(s), *rest) for r, t, k, i, e, c, s, *rest in rows]

    def _one(self, query: str, *values: Any) -> Any:
        with self._lock:
            return self._connection.execute(query, values).fetchone()

    def _all(self, query: str) -> list[Any]:
        with self._lock:
            return self._connection.execute(query).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _immediate(self._connection):
            yield self._connection


def study_exists(folder: Path) -> bool:
    """Whether a folder holds a complete study; one that was interrupted while it was created does not count."""
    path = folder / FILE
    if not path.exists():
        return False
    try:
        with closing(_connect(path)) as connection:
            return _is_complete(connection)
    except sqlite3.DatabaseError as error:
        raise BadInput(
            f"{path} is no study that can be opened ({error}); set rate.study_uri to another folder"
        ) from error


def create(folder: Path, about: Mapping[str, Any], items: Sequence[Item]) -> None:
    """Make a study's file, in one transaction; where another process was faster, its study stays."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with closing(_connect(folder / FILE)) as connection, _immediate(connection):
            if _is_complete(connection):
                return
            for table in _TABLES:
                connection.execute(table)
            rows = [(i, e.source, e.key, e.prompt, e.digest, e.content) for i, e in enumerate(items)]
            connection.executemany("insert into items values (?, ?, ?, ?, ?, ?)", rows)
            connection.execute("insert into study values (?)", (json.dumps(about),))
    except (OSError, sqlite3.OperationalError) as error:
        raise BadInput(f"{folder} cannot be written ({error}); free space or grant access, then run again") from error


def _is_complete(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("select count(*) from sqlite_master where name = 'study'").fetchone()
    return bool(count)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    return connection


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the right to write from its beginning."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
