"""How does one process own a run directory?"""

import contextlib
import errno
import fcntl
import os
import socket
from pathlib import Path

from effsearch.results.atomic import write_error
from effsearch.space.errors import RunError

_IN_USE = {errno.EAGAIN, errno.EACCES}


class RunLock:
    """A lock held on a file until it is released or the process ends, however it ends."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others in; releasing twice is fine. The file stays: removing it would let two in at once."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # the disk may be gone; closing is what unlocks
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def acquire_lock(path: Path) -> RunLock:
    """Lock `path`, made where it is missing, and write this process and machine into it.

    Raises:
        RunError: Another process holds it, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError as error:
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno in _IN_USE:
            raise RunError(
                f"{path.parent} is in use by {holder or 'another process'}; "
                "wait for it to end or give another --run"
            ) from error
        raise RunError(f"cannot lock {path}: {error.strerror}") from error
    return RunLock(descriptor)
