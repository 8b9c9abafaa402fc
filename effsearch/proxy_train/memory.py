"""What does a training do to a process's memory, and what when there is too little of it?"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from effsearch.space.cost import count_cost
from effsearch.space.layers import layers
from effsearch.space.outcome import OutOfMemory, TooLargeToBuild
from effsearch.space.spec import ModelSpec

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's <malloc.h>
_NEVER = 2**31 - 1
_BYTES_OF_A_NUMBER = 4


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


def why_too_large(spec: ModelSpec, *, memory_bytes: int | None = None) -> str:
    """Say why a network cannot be built on this machine, from its description alone; "" where it can.

    Its numbers and, for one image, the two largest maps that lie side by side must fit into the memory.

    Args:
        spec: The network.
        memory_bytes: Of the machine; None asks it.
    """
    there = _memory_bytes() if memory_bytes is None else memory_bytes
    map_numbers = max(
        layer.out_channels * layer.out_size**2 + layer.in_channels * layer.in_size**2
        for layer in layers(spec)
    )
    needed = _BYTES_OF_A_NUMBER * (count_cost(spec).parameters + map_numbers)
    if not there or needed <= there:
        return ""
    return (
        f"the network is too large to build: it needs {needed / 1e9:,.1f} GB for its parameters and maps, and this "
        f"machine has {there / 1e9:,.1f} GB; give it fewer channels or pixels"
    )


def require_memory_for(spec: ModelSpec) -> None:
    """Refuse a network that this machine has no memory for, before anything of it is allocated.

    Raises:
        TooLargeToBuild: It has none; how much it needs is said.
    """
    if reason := why_too_large(spec):
        raise TooLargeToBuild(reason)


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
