"""Printing of lists that a reader such as `head` may leave before their end."""

import os
import sys
from collections.abc import Iterable


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as long as somebody reads them."""
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        # Else the interpreter complains when it flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
