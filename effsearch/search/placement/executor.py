"""Who trains, and how is the work handed out?

The driver knows one narrow interface. `SerialExecutor` trains in this process; `pool_executor` on a pool of workers.
"""

import time
from collections.abc import Callable
from typing import Protocol

from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, TrainingFailed
from effsearch.space.spec import ModelSpec

Evaluator = Callable[[ModelSpec, Fidelity, int], ProxyResult]


class Executor(Protocol):
    """Trains jobs, one per slot."""

    @property
    def num_slots(self) -> int:
        """Jobs that can train at once."""

    @property
    def num_running(self) -> int:
        """Jobs handed in and not yet taken out."""

    def submit(self, job: Job) -> None:
        """Hand in a job; there must be a free slot."""

    def wait(self) -> Evaluation:
        """Block until a job has ended, well or badly, and take it out."""

    def close(self) -> None:
        """Stop the workers; jobs still running are dropped."""


class SerialExecutor:
    """Trains one job at a time in this process; for one worker, and for tests with a formula."""

    num_slots = 1

    def __init__(self, evaluate: Evaluator) -> None:
        self._evaluate = evaluate
        self._jobs: list[Job] = []

    @property
    def num_running(self) -> int:
        """Jobs handed in and not yet taken out."""
        return len(self._jobs)

    def submit(self, job: Job) -> None:
        """Hand in a job; it trains when it is waited for."""
        assert not self._jobs, "one slot"
        self._jobs.append(job)

    def wait(self) -> Evaluation:
        """Train the job that was handed in."""
        job = self._jobs.pop()
        started = time.monotonic()
        result, failure = None, ""
        try:
            result = self._evaluate(job.spec, job.fidelity, job.seed)
        except TrainingFailed as error:
            failure = str(error)
        return Evaluation(job=job, result=result, failure=failure, seconds=time.monotonic() - started)

    def close(self) -> None:
        """Nothing to stop."""


def drive(
    executor: Executor, *, propose: Callable[[], Job | None], take: Callable[[Evaluation], None]
) -> None:
    """Keep every slot busy until nothing more is proposed and all that was handed in has ended.

    Args:
        executor: Where the jobs train.
        propose: Gives the next job, or None for "not now"; it is asked again after each ended job.
        take: Is handed each ended job, in the order in which they end.
    """
    while True:
        while executor.num_running < executor.num_slots and (job := propose()) is not None:
            executor.submit(job)
        if not executor.num_running:
            return
        take(executor.wait())
