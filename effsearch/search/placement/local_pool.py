"""How is work spread over the cores of this machine?

Workers are spawned, never forked, and each has a pipe of its own: one that dies or hangs costs one task and is
replaced. Workers only work, and keep nothing of a task; the driver decides and records.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import queue
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic

from effsearch.search.placement.attempt import Reply, attempt, ended_by, hung_words, unprepared_words
from effsearch.search.placement.pool import Ended, SecondsAllowed, T, V, no_limit
from effsearch.search.placement.with_driver import end_with_driver

_MAIN_LOCK = threading.Lock()
STOP_SECONDS = 3.0  # what a worker gets to end by itself


@dataclass(slots=True)
class _Worker(Generic[T]):
    process: SpawnProcess
    pipe: Connection
    task: T | None = None
    started: float = 0.0
    allowed: float = float("inf")  # seconds of its task

    @property
    def deadline(self) -> float:
        return self.started + self.allowed


class ProcessPool(Generic[T, V]):
    """Worker processes that each do one task at a time.

    Args:
        work: Picklable; called in the workers with a task.
        num_workers: Processes, at least one.
        prepare: Picklable; called once in each worker before its first task, with its slot, from 0. A worker that
            replaces another has the slot of that one.
        seconds_allowed: Of a task, from hand-out on; a worker that takes longer is killed and replaced.
    """

    def __init__(
        self,
        work: Callable[[T], V],
        *,
        num_workers: int,
        prepare: Callable[[int], None],
        seconds_allowed: SecondsAllowed[T] = no_limit,
    ) -> None:
        self._work = work
        self._prepare = prepare
        self._seconds_allowed = seconds_allowed
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker[T]] = [self._spawn(slot) for slot in range(num_workers)]

    @property
    def num_slots(self) -> int:
        """Number of workers."""
        return len(self._workers)

    @property
    def num_running(self) -> int:
        """Tasks handed in and not yet taken out."""
        return sum(worker.task is not None for worker in self._workers)

    def submit(self, task: T) -> None:
        """Send a task to a free worker; a worker found dead is replaced first."""
        worker = next(worker for worker in self._workers if worker.task is None)
        try:
            worker.pipe.send(task)
        except OSError:
            worker = self._replace(worker)
            with contextlib.suppress(OSError):  # `wait` will find it dead
                worker.pipe.send(task)
        allowed = self._seconds_allowed(task)
        worker.task, worker.started = task, time.monotonic()
        worker.allowed = float("inf") if allowed is None else allowed

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended; a worker that died or took too long gives a failure and is replaced.

        Raises:
            RunError: The work found what no task can do without, or no worker can be prepared; that stops the run.
        """
        while True:
            busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
            assert busy, "there is nothing to wait for"
            first = min(busy.values(), key=lambda worker: worker.deadline)
            seconds_left = first.deadline - time.monotonic()
            if seconds_left <= 0 and not first.pipe.poll():
                return self._stop_hung(first)
            timeout = None if seconds_left == float("inf") else max(0.0, seconds_left)
            ready = [busy[pipe] for pipe in multiprocessing.connection.wait(list(busy), timeout)]  # type: ignore[index]  # pipes alone were given
            if ready:
                return self._take(min(ready, key=lambda worker: worker.started))

    def close(self) -> None:
        """End every worker, by force where it is busy."""
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _take(self, worker: _Worker[T]) -> Ended[T, V]:
        task, seconds = worker.task, time.monotonic() - worker.started
        assert task is not None
        worker.task = None
        try:
            reply = worker.pipe.recv()
        except (EOFError, OSError):  # at its start or in the middle of an answer
            worker.process.join(STOP_SECONDS)
            failure = _death_words(worker.process.exitcode)
            self._replace(worker)
            return Ended(task, None, failure, seconds, "died")
        return ended_by(reply, task, seconds)

    def _stop_hung(self, worker: _Worker[T]) -> Ended[T, V]:
        task, seconds = worker.task, time.monotonic() - worker.started
        assert task is not None
        failure = hung_words(worker.allowed)
        self._replace(worker)
        return Ended(task, None, failure, seconds, "hung")

    def _replace(self, worker: _Worker[T]) -> _Worker[T]:
        """Put a new worker in the place of one that is dead or of no more use."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        slot = self._workers.index(worker)
        self._workers[slot] = self._spawn(slot)
        return self._workers[slot]

    def _spawn(self, slot: int) -> _Worker[T]:
        ours, theirs = self._context.Pipe()
        is_of_main_thread = threading.current_thread() is threading.main_thread()
        process = self._context.Process(
            target=_serve,
            args=(theirs, self._work, partial(self._prepare, slot), is_of_main_thread),
            daemon=True,
        )
        # Ctrl-C is the driver's to answer. A worker has it blocked from its first moment: it loads torch for seconds.
        multiprocessing.resource_tracker.ensure_running()  # else it starts below, and unblocks Ctrl-C
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _without_main():
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(process, ours)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Have a process that is spawned meanwhile not run this one's main module first.

    It needs nothing of it: what it works with is effsearch's, or was pickled by value. And it could not always: a
    program that came from stdin has no file, a notebook no module, and a script without `if __name__ == "__main__"`
    would start the whole search again.
    """
    with _MAIN_LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _death_words(exit_code: int | None) -> str:
    """Say how a worker ended that gave no answer."""
    if exit_code is None:
        return "the worker left without an answer"
    if exit_code >= 0:
        return f"the worker died (exit code {exit_code})"
    name = signal.Signals(-exit_code).name
    why = "; the system may have run out of memory" if name == "SIGKILL" else ""
    return f"the worker was killed ({name}{why})"


def _serve(
    pipe: Connection, work: Callable[[Any], Any], prepare: Callable[[], None], is_of_main_thread: bool
) -> None:
    end_with_driver(is_of_main_thread=is_of_main_thread)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(pipe, tasks), daemon=True).start()
    prepared = attempt(lambda _: prepare(), None)
    if prepared.kind == "value":
        answer = partial(attempt, work)
    else:
        answer = partial(_give, Reply("error", unprepared_words(prepared), prepared.trace))
    while True:
        try:
            pipe.send(answer(tasks.get()))
        except OSError:
            os._exit(0)


def _read_tasks(pipe: Connection, tasks: "queue.SimpleQueue[Any]") -> None:
    """Take what the driver sends at once: it waits for that, and a task with weights is larger than a pipe holds."""
    try:
        while True:
            tasks.put(pipe.recv())
    except (EOFError, OSError):  # the driver has closed the pipe, or is gone
        os._exit(0)  # unloading torch takes a second or two, and there is nothing to put away
    except (
        BaseException
    ):  # a task that cannot be unpickled here: the driver will see that this worker is dead
        os._exit(1)


def _give(reply: Reply, task: object) -> Reply:
    """The same reply to every task."""
    return reply
