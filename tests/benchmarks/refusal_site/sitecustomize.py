"""Notes when something is refused, in every Python that finds this folder on PYTHONPATH: a driver and its Ray workers.

A line of JSON for each BadInput and each Parquet read that fails goes to the file that $REFUSALS_FILE names.
"""

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def note(message: str) -> None:
    """One write to a file opened for appending: lines of several processes do not mix."""
    distributed: Any = sys.modules.get("torch.distributed")
    rank = distributed.get_rank() if distributed and distributed.is_initialized() else None
    about = {"seconds": time.time(), "rank": rank, "pid": os.getpid(), "message": message}
    line = json.dumps(about) + "\n"
    file = os.open(os.environ["REFUSALS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def note_bad_input(module: Any) -> None:
    """Have every BadInput noted when it is created."""

    def noting(self: Exception, *arguments: Any) -> None:
        ValueError.__init__(self, *arguments)
        note(str(self))

    module.BadInput.__init__ = noting


def note_failed_reads(module: Any) -> None:
    """Have every row group noted that cannot be read: pyarrow's own exceptions are no BadInput."""
    read = module.ParquetFile.read_row_group

    def noting(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return read(self, *arguments, **options)
        except Exception as error:
            note(f"{type(error).__name__}: {error}")
            raise

    module.ParquetFile.read_row_group = noting


class WhenImported(importlib.abc.MetaPathFinder):
    """Changes a module as soon as it is imported; importing it here would cost every process a second."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self.name, self.change = name, change

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec and spec.loader
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            self.change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, WhenImported("ganrnn.errors", note_bad_input))
sys.meta_path.insert(0, WhenImported("pyarrow.parquet.core", note_failed_reads))
