"""What a process is like after `prepare`; each in a process of its own."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ganrnn import cpu
{prepare}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(4 << 20)
before = faults()
for _ in range(20):
    torch.ones(4 << 20)
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
def test_memory_of_a_freed_tensor_serves_the_next_one():
    # 16 MiB a tensor; without `prepare` each of the twenty faults its pages in anew.
    faults = int(_python(FAULTS.format(prepare="")))
    assert int(_python(FAULTS.format(prepare="cpu.prepare(1)"))) < faults / 10
