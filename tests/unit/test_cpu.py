"""What a process is like after `prepare`; each in a process of its own."""

import platform
import resource

import pytest
import torch

from ganrnn import cpu
from tests.forks import in_another_process


def threads_and_a_denormal(num_threads: int) -> tuple[int, float]:
    """After `prepare`: how many threads torch has, and what becomes of a number below the normal ones."""
    cpu.prepare(num_threads)
    return torch.get_num_threads(), (torch.tensor(1e-40) * 1).item()


def page_faults(is_prepared: bool) -> int:
    """Of ten passes of a network by one thread, each of five activations of 4 MiB."""
    if is_prepared:
        cpu.prepare(1)
    else:
        torch.set_num_threads(1)
    network = torch.nn.Sequential(*[torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(4)])

    def ten_passes() -> int:
        for _ in range(10):
            with torch.no_grad():
                network(torch.ones(64, 16, 32, 32))
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    before = ten_passes()
    return ten_passes() - before


def test_threads_are_as_asked_and_denormals_zero() -> None:
    assert in_another_process(threads_and_a_denormal, 3) == (3, 0.0)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_serves_the_next_tensors() -> None:
    # Without `prepare` the pages of activations are faulted in anew each time.
    assert in_another_process(page_faults, True) < in_another_process(page_faults, False) / 10
