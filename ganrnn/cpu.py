"""Process settings of torch on a CPU: threads, denormals, memory reuse."""

import ctypes

import torch

# Constants of <malloc.h> of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 32 << 20  # the largest value that it accepts
_TRIM_BYTES = 1 << 30


def prepare(num_threads: int) -> None:
    """Set this process up for torch on `num_threads` CPU threads.

    Denormals are flushed to zero, because they make arithmetic many times slower. Freed memory is reused if the C
    library can do so: by default it returns large blocks to the system, and every page of the next block faults.
    """
    torch.set_num_threads(num_threads)
    torch.set_flush_denormal(True)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
