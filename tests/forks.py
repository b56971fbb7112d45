"""Processes of their own, forked from a server that has the project imported: a tenth of a second each, not seconds."""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist


def fork_server() -> BaseContext:
    """The one fork server of this process. It imports what this process has of the project when it is first used."""
    modules = [name for name in sys.modules if name.partition(".")[0] in ("ganrnn", "pipelines")]
    multiprocessing.set_forkserver_preload([__name__, *modules])
    return multiprocessing.get_context("forkserver")


def in_another_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns there."""
    with ProcessPoolExecutor(1, fork_server()) as process:
        return process.submit(function, *arguments).result()


def on_two_ranks(function: Callable[[int], Any], folder: Path) -> list[Any]:
    """What a function of the rank returns on each of two gloo ranks; `folder` is empty and theirs."""
    fork_server()
    torch.multiprocessing.start_processes(_rank, (function, folder), 2, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _rank(rank: int, function: Callable[[int], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(function(rank), folder / f"{rank}.pt")
    dist.destroy_process_group()
