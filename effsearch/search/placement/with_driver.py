"""How does a worker process end when its driver is gone, even one that was killed?"""

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with_driver(*, is_of_main_thread: bool) -> None:
    """Have this spawned process end as soon as the process that spawned it has ended, whatever it is doing.

    A thread waits for the driver's end, on every system. Where the thread may not get its turn, in code that
    holds the interpreter's lock, Linux ends the process. Linux does so when the spawning *thread* ends, so it is
    asked only where that is the driver's main one.

    Args:
        is_of_main_thread: Whether the driver's main thread spawned this process.
    """
    driver = multiprocessing.parent_process()
    assert driver is not None, "only a spawned process has a driver"
    threading.Thread(target=_end_after, args=(driver.sentinel,), name="end-with-driver", daemon=True).start()
    if sys.platform.startswith("linux") and is_of_main_thread:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != driver.pid:  # it ended before it could be asked
            os._exit(1)


def _end_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
