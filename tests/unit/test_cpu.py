"""What a process is like after `prepare`; each in a process of its own."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ganrnn import cpu
{prepare}
network = torch.nn.Sequential(*[torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(4)])
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def activations():
    with torch.no_grad():
        network(torch.ones(64, 16, 32, 32))
for _ in range(20):
    activations()
before = faults()
for _ in range(20):
    activations()
print(faults() - before)
"""


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_threads_are_as_asked_and_denormals_zero():
    said = _python(
        "import torch; from ganrnn import cpu; cpu.prepare(3); print(torch.get_num_threads(), torch.tensor(1e-40) * 1)"
    )
    assert said == "3 tensor(0.)"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_serves_the_next_tensors():
    # Five activations of 4 MiB a pass, whose pages are faulted in anew each time without `prepare`.
    without = int(_python(FAULTS.format(prepare="torch.set_num_threads(1)")))
    assert int(_python(FAULTS.format(prepare="cpu.prepare(1)"))) < without / 10
