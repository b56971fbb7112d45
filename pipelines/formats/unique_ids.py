"""Whether any number of ids are all different, in memory that does not grow with them."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ganrnn.errors import BadInput
from pipelines import storage

_HASHES_IN_MEMORY = 1 << 21
_NUM_RANGES = 256


class UniqueIds:
    """Collects the ids of a column and refuses null and double ones.

    Only 64-bit hashes are kept, above two million of them on disk in 256 ranges of values, each of which is sorted by
    itself. Hashes that occur twice are looked up: the files are read again for the ids behind them.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.count = 0
        self._uris: list[str] = []
        self._hashes: list[np.ndarray] = []
        self._num_in_memory = 0
        self._folder = tempfile.TemporaryDirectory(prefix="ganrnn-ids-")

    def __enter__(self) -> "UniqueIds":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def add(self, uri: str, ids: Any) -> None:
        """Take in ids [N] of a file; its ids come one batch after the other."""
        if ids.null_count:
            raise BadInput(f"{uri}: column {self.column} holds null; every row needs an id of its own")
        if self._uris[-1:] != [uri]:
            self._uris.append(uri)
        self._hashes.append(_hashes(ids))
        self.count += len(ids)
        self._num_in_memory += len(ids)
        if self._num_in_memory > _HASHES_IN_MEMORY:
            self._spill()

    def check(self) -> None:
        """Raise BadInput with the first id that occurs twice."""
        twice = _twice(np.concatenate(self._hashes)) if self.count == self._num_in_memory else self._twice_on_disk()
        if not len(twice):
            return
        seen = set[str]()
        for uri in self._uris:
            for batch in storage.read_batches(uri, [self.column]):
                ids = pc.cast(batch.column(0), pa.string())  # Arrow cannot filter views
                suspects = ids.filter(pa.array(np.isin(_hashes(ids), twice)))
                for suspect in suspects.to_pylist():
                    if suspect in seen:
                        raise self._refusal(uri, suspect)
                    seen.add(suspect)

    def _refusal(self, uri: str, value: str) -> BadInput:
        return BadInput(f"{uri}: {self.column} {value!r} is not unique; every row needs an id of its own")

    def _spill(self) -> None:
        hashes = np.sort(np.concatenate(self._hashes))
        bounds = np.searchsorted(hashes >> np.uint64(56), np.arange(_NUM_RANGES + 1, dtype=np.uint64))
        for number, (start, stop) in enumerate(pairwise(bounds)):
            with self._file(number).open("ab") as file:
                file.write(hashes[start:stop].tobytes())
        self._hashes, self._num_in_memory = [], 0

    def _twice_on_disk(self) -> np.ndarray:
        if self._hashes:
            self._spill()
        return np.concatenate([_twice(np.fromfile(self._file(n), np.uint64)) for n in range(_NUM_RANGES)])

    def _file(self, number: int) -> Path:
        return Path(self._folder.name) / f"{number:03d}"


def count_different(uris: Sequence[str], column: str) -> int:
    """How many different texts a column of Parquet files holds, by 64-bit hashes: eight bytes a row in memory."""
    hashes = [_hashes(batch.column(0)) for uri in uris for batch in storage.read_batches(uri, [column])]
    return len(np.unique(np.concatenate(hashes))) if hashes else 0


def _hashes(ids: Any) -> np.ndarray:
    """Hashes uint64 [N] of strings [N]."""
    values = pc.cast(ids, pa.string()).to_numpy(zero_copy_only=False)
    return pd.util.hash_array(values, categorize=False)


def _twice(hashes: np.ndarray) -> np.ndarray:
    """Those that occur more than once."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
