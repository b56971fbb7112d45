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
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from harm import harmed  # this folder is on the path

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
    sampler = module.ModelSampler
    sampler._micro_batch = harmed(sampler._micro_batch, lambda: os.kill(os.getpid(), signal.SIGKILL))


prepare()
