"""How are trainings spread over the cores of this machine?

Workers are spawned, never forked, and each has a pipe of its own: one that dies costs one training and is
replaced. Workers only train; the driver decides and records.
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

from effsearch.search.executor import Evaluator
from effsearch.space.errors import EffsearchError, RunError
from effsearch.space.outcome import Evaluation, Job, ProxyResult, TrainingFailed

Reply = tuple[
    str, ProxyResult | str
]  # ("result", value), ("failed", reason), ("error", message) or ("bug", place)

STOP_SECONDS = 3.0  # what a worker gets to end by itself


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    started: float = 0.0


class ProcessExecutor:
    """Trains on worker processes, one job per worker.

    Args:
        evaluate: Picklable; called in the workers.
        num_workers: Processes, at least one.
        prepare: Picklable; called once in each worker before its first job.
    """

    def __init__(self, evaluate: Evaluator, *, num_workers: int, prepare: Callable[[], None]) -> None:
        self._evaluate = evaluate
        self._prepare = prepare
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._spawn() for _ in range(num_workers)]

    @property
    def num_slots(self) -> int:
        """Number of workers."""
        return len(self._workers)

    @property
    def num_running(self) -> int:
        """Jobs handed in and not yet taken out."""
        return sum(worker.job is not None for worker in self._workers)

    def submit(self, job: Job) -> None:
        """Send a job to a free worker; a worker found dead is replaced first."""
        index = next(index for index, worker in enumerate(self._workers) if worker.job is None)
        try:
            self._workers[index].pipe.send(job)
        except (BrokenPipeError, ConnectionResetError):
            self._workers[index] = self._spawn()
            self._workers[index].pipe.send(job)
        self._workers[index].job, self._workers[index].started = job, time.monotonic()

    def wait(self) -> Evaluation:
        """Block until a job has ended; a worker that died gives a failure and is replaced.

        Raises:
            RunError: The training code itself broke; that is a bug and stops the search.
        """
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        pipe = multiprocessing.connection.wait(list(busy))[0]
        assert isinstance(pipe, Connection)
        worker = busy[pipe]
        job, seconds = worker.job, time.monotonic() - worker.started
        assert job is not None
        worker.job = None
        try:
            kind, value = pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(STOP_SECONDS)
            reason = f"the worker died (exit code {worker.process.exitcode})"
            self._workers[self._workers.index(worker)] = self._spawn()
            return Evaluation(job=job, result=None, failure=reason, seconds=seconds)
        if kind == "error":
            raise RunError(str(value))
        if kind == "bug":
            raise RunError(f"{job.name} broke the training code: {value}")
        if kind == "failed":
            return Evaluation(job=job, result=None, failure=value, seconds=seconds)
        return Evaluation(job=job, result=value, seconds=seconds)

    def close(self) -> None:
        """End every worker, by force where it is busy."""
        for worker in self._workers:
            if worker.job is not None:
                worker.process.terminate()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _spawn(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(theirs, self._evaluate, self._prepare), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _work(pipe: Connection, evaluate: Evaluator, prepare: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    prepare()
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            pipe.send(("result", evaluate(job.spec, job.fidelity, job.seed)))
        except TrainingFailed as error:
            pipe.send(("failed", str(error)))
        except BrokenPipeError:
            return
        except EffsearchError as error:
            pipe.send(("error", str(error)))
        except Exception as error:  # carried to the driver, which stops the search with it
            last = traceback.extract_tb(error.__traceback__)[-1]
            pipe.send(("bug", f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})"))
