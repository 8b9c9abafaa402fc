"""How are trainings spread over the cores of this machine?"""

from collections.abc import Callable
from dataclasses import dataclass

from effsearch.search.placement.executor import Evaluator
from effsearch.search.placement.pool import WorkerPool
from effsearch.space.outcome import Evaluation, Job, ProxyResult


@dataclass(frozen=True, slots=True)
class _Train:
    """Calls an evaluator with what a job says."""

    evaluate: Evaluator

    def __call__(self, job: Job) -> ProxyResult:
        return self.evaluate(job.spec, job.fidelity, job.seed)


class ProcessExecutor:
    """Trains on worker processes, one job per worker.

    Args:
        evaluate: Picklable; called in the workers.
        num_workers: Processes, at least one.
        prepare: Picklable; called once in each worker before its first job.
    """

    def __init__(self, evaluate: Evaluator, *, num_workers: int, prepare: Callable[[], None]) -> None:
        self._pool: WorkerPool[Job, ProxyResult] = WorkerPool(
            _Train(evaluate), num_workers=num_workers, prepare=prepare
        )

    @property
    def num_slots(self) -> int:
        """Number of workers."""
        return self._pool.num_slots

    @property
    def num_running(self) -> int:
        """Jobs handed in and not yet taken out."""
        return self._pool.num_running

    def submit(self, job: Job) -> None:
        """Send a job to a free worker; a worker found dead is replaced first."""
        self._pool.submit(job)

    def wait(self) -> Evaluation:
        """Block until a job has ended; a worker that died gives a failure and is replaced.

        Raises:
            RunError: The training code itself broke; that is a bug and stops the search.
        """
        ended = self._pool.wait()
        return Evaluation(job=ended.task, result=ended.value, failure=ended.failure, seconds=ended.seconds)

    def close(self) -> None:
        """End every worker, by force where it is busy."""
        self._pool.close()
