"""How do trainings run on a pool, and what if one goes wrong there?"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from effsearch.search.placement.executor import Evaluator
from effsearch.search.placement.pool import Pool
from effsearch.search.placement.pool_around import PoolAround
from effsearch.search.placement.retrying_pool import RetryingPool, Smaller, say_nothing
from effsearch.space.outcome import Evaluation, Job, ProxyResult

HALF = 0.5

StartPool = Callable[[Callable[[Job], ProxyResult]], Pool[Job, ProxyResult]]


@runtime_checkable
class BatchSharing(Protocol):
    """An evaluator that can train with less than its batch at a time; one that cannot gets no second chance."""

    def with_batch_share(self, share: float) -> Evaluator:
        """Give the same with a share of the batch."""


@runtime_checkable
class WeightKeeping(Protocol):
    """An evaluator that can go on from the weights of an earlier training; one that cannot trains anew."""

    def with_weights(self, checkpoint: bytes | None, *, keeps_weights: bool) -> Evaluator:
        """Give the same that goes on from weights, or leaves them to go on from, or both."""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """Calls an evaluator with what a job says: the work of a pool."""

    evaluate: Evaluator

    def __call__(self, job: Job) -> ProxyResult:
        """Train."""
        evaluate = self.evaluate
        if (job.checkpoint is not None or job.keeps_weights) and isinstance(evaluate, WeightKeeping):
            evaluate = evaluate.with_weights(job.checkpoint, keeps_weights=job.keeps_weights)
        if job.batch_share != 1:
            assert isinstance(evaluate, BatchSharing), "else there is no such job"
            evaluate = evaluate.with_batch_share(job.batch_share)
        return evaluate(job.spec, job.fidelity, job.seed)


class PoolExecutor(PoolAround[Job, ProxyResult]):
    """Trains on a pool, one job per slot; see `retrying_pool` for what is tried twice.

    Args:
        evaluate: Called where the pool works, so it must get there: for other processes it pickles.
        start_pool: Gives the pool for some work, as `partial(ProcessPool, num_workers=2, prepare=prepare)` does.
        say: Is told of each training that is tried again.
    """

    def __init__(
        self, evaluate: Evaluator, start_pool: StartPool, *, say: Callable[[str], None] = say_nothing
    ) -> None:
        super().__init__(
            RetryingPool(
                start_pool(TrainJob(evaluate)),
                make_smaller=_halve_batch if isinstance(evaluate, BatchSharing) else _keep_batch,
                say=say,
            )
        )

    def wait(self) -> Evaluation:
        """Block until a job has ended for good; its `batch_share` is the one that it trained with.

        Raises:
            RunError: A training found what no other could do without, such as images that are gone.
        """
        ended = self._pool.wait()
        return Evaluation(job=ended.task, result=ended.value, failure=ended.failure, seconds=ended.seconds)


def _halve_batch(job: Job) -> Smaller[Job]:
    # Weights of a training with the whole batch are none to go on from: a score has one batch size in all its stages.
    smaller = dataclasses.replace(job, batch_share=HALF * job.batch_share, checkpoint=None)
    return Smaller(smaller, "half the batch")


def _keep_batch(job: Job) -> None:
    """None: the evaluator knows no batch."""
