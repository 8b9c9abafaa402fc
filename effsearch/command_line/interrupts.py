"""How is Ctrl-C answered?

The first time everything is put away, the second time this ends at once: workers end with this process, and what it
leaves half written is swept by the next call on the run. Python answers signals between two steps of its own alone,
and a library may take seconds for one; so a thread counts them as they come, too, and sees to it that a command ends
within ten seconds of the first.
"""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
MOST_SECONDS = 9.0  # to put things away; an import may have swallowed what was raised for a signal
NOT_PUT_AWAY = "stopped before all was put away; the same command with the same --run goes on"
ENDED_AT_ONCE = "interrupted twice, ended at once; the same command with the same --run goes on"


_ending = threading.Lock()
_stops: list[int] = []  # exit codes that signals have asked for, since the command began


def note_stop(exit_code: int) -> None:
    """Note that a signal has asked for an end: what is raised for it may become another error on its way."""
    _stops.append(exit_code)


def stopped_by() -> int:
    """Give the exit code that a signal has asked for, 0 where none has."""
    return _stops[-1] if _stops else 0


@contextlib.contextmanager
def ends_unsaid() -> Iterator[None]:
    """Have a SIGTERM that ends what is in here end it as silently as Ctrl-C does: it only shows, nothing goes on."""
    try:
        yield
    except SystemExit:
        _stops.clear()
        raise


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Answer Ctrl-C from here on, unless whoever started this process has it ignored, as nohup has.

    Only a main thread can.
    """
    _stops.clear()
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not is_main or before is signal.SIG_IGN:
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    counter = threading.Thread(target=_count, args=(reading,), name="interrupts", daemon=True)
    counter.start()
    signal.signal(signal.SIGINT, _Answer())
    fd_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd_before)
        signal.signal(signal.SIGINT, before)
        os.close(writing)  # the thread reads the end
        counter.join()
        os.close(reading)


class Stopped(KeyboardInterrupt):
    """What Ctrl-C raises.

    Where a plain KeyboardInterrupt once goes through the exec of a text, as when a dataclass is made in an import,
    Python kills itself by SIGINT at its very end, whatever exit code it was given; of a kind of its own it does not.
    """


class _Answer:
    """What the main thread does."""

    def __init__(self) -> None:
        self._num_heard = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._num_heard += 1
        if self._num_heard > 1:
            _end_at_once()
        note_stop(INTERRUPTED)
        raise Stopped


def _count(reading: int) -> None:
    num_interrupts, code, deadline = 0, 0, float("inf")
    while True:
        seconds = None if not code else max(0.0, deadline - time.monotonic())
        if not select.select([reading], [], [], seconds)[0]:
            os.write(2, f"\neffsearch: {NOT_PUT_AWAY}\n".encode())
            os._exit(code)
        heard = os.read(reading, 64)
        if not heard:
            return
        stops = [number for number in heard if number in (signal.SIGINT, signal.SIGTERM)]
        if stops and not code:
            code, deadline = 128 + stops[0], time.monotonic() + MOST_SECONDS
        num_interrupts += heard.count(signal.SIGINT)
        if num_interrupts > 1:
            _end_at_once()


def _end_at_once() -> None:
    if _ending.acquire(blocking=False):
        os.write(2, f"\neffsearch: {ENDED_AT_ONCE}\n".encode())
    else:  # the main thread and the one that counts have both heard it: the other is about to end
        time.sleep(1)
    os._exit(INTERRUPTED)
