"""How is work spread over the cores of this machine?

Workers are spawned, never forked, and each has a pipe of its own: one that dies costs one task and is replaced.
Workers only work; the driver decides and records.
"""

import multiprocessing
import multiprocessing.connection
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Protocol, TypeVar

from effsearch.space.errors import EffsearchError, RunError
from effsearch.space.outcome import TrainingFailed

Reply = tuple[str, Any]  # ("result", value), ("failed", reason), ("error", message) or ("bug", place)

STOP_SECONDS = 3.0  # what a worker gets to end by itself


class Task(Protocol):
    """What a worker is sent: anything that pickles and has a name for people."""

    @property
    def name(self) -> str:
        """As users see it."""


T = TypeVar("T", bound=Task)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Ended(Generic[T, V]):
    """A task that has ended: with a value, or with the reason why there is none."""

    task: T
    value: V | None
    failure: str
    seconds: float  # from hand-out to end, by the driver's clock


@dataclass(slots=True)
class _Worker(Generic[T]):
    process: SpawnProcess
    pipe: Connection
    task: T | None = None
    started: float = 0.0


class WorkerPool(Generic[T, V]):
    """Worker processes that each do one task at a time.

    Args:
        work: Picklable; called in the workers with a task.
        num_workers: Processes, at least one.
        prepare: Picklable; called once in each worker before its first task.
    """

    def __init__(self, work: Callable[[T], V], *, num_workers: int, prepare: Callable[[], None]) -> None:
        self._work = work
        self._prepare = prepare
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker[T]] = [self._spawn() for _ in range(num_workers)]

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
        index = next(index for index, worker in enumerate(self._workers) if worker.task is None)
        try:
            self._workers[index].pipe.send(task)
        except (BrokenPipeError, ConnectionResetError):
            self._workers[index] = self._spawn()
            self._workers[index].pipe.send(task)
        self._workers[index].task, self._workers[index].started = task, time.monotonic()

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended; a worker that died gives a failure and is replaced.

        Raises:
            RunError: The work itself broke; that is a bug and stops the search.
        """
        busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        pipe = multiprocessing.connection.wait(list(busy))[0]
        assert isinstance(pipe, Connection)
        worker = busy[pipe]
        task, seconds = worker.task, time.monotonic() - worker.started
        assert task is not None
        worker.task = None
        try:
            kind, value = pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(STOP_SECONDS)
            reason = f"the worker died (exit code {worker.process.exitcode})"
            self._workers[self._workers.index(worker)] = self._spawn()
            return Ended(task, None, reason, seconds)
        if kind == "error":
            raise RunError(str(value))
        if kind == "bug":
            raise RunError(f"{task.name} broke the training code: {value}")
        if kind == "failed":
            return Ended(task, None, value, seconds)
        return Ended(task, value, "", seconds)

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

    def _spawn(self) -> _Worker[T]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work, self._prepare), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _serve(pipe: Connection, work: Callable[[Any], Any], prepare: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    prepare()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            reply: Reply = ("result", work(task))
        except TrainingFailed as error:
            reply = ("failed", str(error))
        except EffsearchError as error:
            reply = ("error", str(error))
        except Exception as error:  # carried to the driver, which stops the search with it
            last = traceback.extract_tb(error.__traceback__)[-1]
            reply = ("bug", f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})")
        try:
            pipe.send(reply)
        except BrokenPipeError:
            return
