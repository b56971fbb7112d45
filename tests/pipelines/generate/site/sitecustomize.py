"""Prompts that do harm to the model, in every Python that finds this folder on PYTHONPATH: the tests' Ray workers.

A prompt with KILL in it ends the process as the kernel does, one with RAISE makes the model fail, and one with GREEDY
needs more memory than a micro-batch of more than 16 rows leaves.
"""

import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

_MODULE = "pipelines.sampling.sampler"


def prepare() -> None:
    """Have the sampler of this process harmed, as soon as it is imported; importing it here would cost seconds."""
    sys.meta_path.insert(0, _WhenImported())


class _WhenImported(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec and spec.loader
        execute = spec.loader.exec_module

        def harmed(module: ModuleType) -> None:
            execute(module)
            _harm(module)

        spec.loader.exec_module = harmed  # type: ignore[method-assign]
        return spec


def _harm(module: Any) -> None:
    sample = module.ModelSampler._micro_batch

    def harmed(self: Any, rows: Mapping[str, Sequence[Any]], keys: Sequence[tuple[int, str]]) -> Any:
        texts = rows.get("prompt", [])
        if any("KILL" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any("RAISE" in text for text in texts):
            raise ValueError("no such\nword")
        if any("GREEDY" in text for text in texts) and self.micro_batch_size > 16:
            raise MemoryError
        return sample(self, rows, keys)

    module.ModelSampler._micro_batch = harmed


prepare()
