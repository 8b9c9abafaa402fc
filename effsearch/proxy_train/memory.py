"""What does a training do to a process's memory, and what when there is too little of it?"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from effsearch.space.outcome import OutOfMemory

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's <malloc.h>
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process reuse the memory of freed tensors rather than hand each back to the system.

    A training step frees and asks again for the same large tensors. By default the C library maps those above some
    size (32 MiB at most, less in a young process) anew each time, and the system clears them. The price: the process
    stays as large as it once was.

    Returns:
        Whether it could be done: with the C library of most Linux systems, not on macOS nor with musl.

    Source:
        B0 at 32 px, batch 64, one thread of a busy 2-core machine, torch 2.13, images per CPU second in two runs
        each: two strides removed 51 and 55 without, 72 and 68 with it; one stride 220 and 223, 229 and 223: nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))


@contextmanager
def memory_as_failure() -> Iterator[None]:
    """Turn running out of memory into `OutOfMemory`: one network too large must not end a search."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(f"out of memory: {_first_line(error)}") from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise OutOfMemory(f"out of memory: {_first_line(error)}") from error
        raise


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
