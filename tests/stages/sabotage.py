"""Prompts that do harm to the model: for Ray workers, as their setup hook, and for a driver with a session of its own.

    python -m tests.stages.sabotage VERB RECIPE.yaml [--set a.b=value ...]

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
from pathlib import Path
from types import ModuleType
from typing import Any

_MODULE = "pipelines.sampling"

RUNTIME_ENV: dict[str, Any] = {
    "worker_process_setup_hook": "tests.stages.sabotage.prepare",
    "env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])},
}


def prepare() -> None:
    """Have the sampler of this process harmed, as soon as it is imported; importing it here would cost seconds."""
    if _MODULE in sys.modules:
        _harm(sys.modules[_MODULE])
    else:
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

    def harmed(self: Any, texts: Sequence[str], keys: Sequence[tuple[int, str]]) -> Any:
        if any("KILL" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any("RAISE" in text for text in texts):
            raise ValueError("no such\nword")
        if any("GREEDY" in text for text in texts) and self.micro_batch_size > 16:
            raise MemoryError
        return sample(self, texts, keys)

    module.ModelSampler._micro_batch = harmed


if __name__ == "__main__":
    import ray

    from pipelines import cluster

    prepare()
    here = {"address": "local", "num_cpus": 2, "include_dashboard": False}
    variables = {**cluster.worker_environment(), **RUNTIME_ENV["env_vars"]}
    ray.init(
        **({} if "RAY_ADDRESS" in os.environ else here),
        log_to_driver=False,
        runtime_env={**RUNTIME_ENV, "env_vars": variables},
    )
    verb = sys.argv.pop(1)
    importlib.import_module(f"jobs.{verb}").main()
