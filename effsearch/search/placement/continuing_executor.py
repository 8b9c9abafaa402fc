"""How does a network that is promoted go on where the rung below has left it, on whatever worker is free?

Weights travel with the jobs: a worker sends them with its score, the driver keeps them, and the worker of the next
rung gets them with its job. A score does not hang on that: who gets no weights trains the lower rungs again and comes
to the same.
"""

import dataclasses
import hashlib
import json
from typing import Protocol

from effsearch.search.placement.executor import Executor
from effsearch.space.outcome import ContinuedFidelity, Evaluation, Fidelity, Job


class CheckpointStore(Protocol):
    """Keeps weights under names, as long as it sees fit."""

    def put(self, name: str, content: bytes) -> None:
        """Keep weights."""

    def get(self, name: str) -> bytes | None:
        """Give weights as they were put, or None."""

    def forget(self, name: str) -> None:
        """Delete weights that nobody needs any more."""


class ContinuingExecutor:
    """Hands out jobs with the weights that they go on from, and keeps those that others may go on from.

    Args:
        executor: Trains; its evaluator must be able to bring weights and to take them.
        store: Of the weights.
        num_rungs: Fidelities with as many stages are not continued.
    """

    def __init__(self, executor: Executor, store: CheckpointStore, *, num_rungs: int) -> None:
        self._executor = executor
        self._store = store
        self._num_rungs = num_rungs

    @property
    def num_slots(self) -> int:
        """Jobs that can train at once."""
        return self._executor.num_slots

    @property
    def num_running(self) -> int:
        """Jobs handed in and not yet taken out."""
        return self._executor.num_running

    def submit(self, job: Job) -> None:
        """Hand in a job; there must be a free slot."""
        before = _continued_by(job)
        self._executor.submit(
            dataclasses.replace(
                job,
                checkpoint=None if before is None else self._store.get(before),
                keeps_weights=job.replicate == 0 and len(job.fidelity.stages) < self._num_rungs,
            )
        )

    def wait(self) -> Evaluation:
        """Block until a job has ended, and take it out without weights, which would fill the memory."""
        ended = self._executor.wait()
        job = dataclasses.replace(ended.job, checkpoint=None, keeps_weights=False)
        if ended.result is None:
            return dataclasses.replace(ended, job=job)
        if ended.result.weights is not None:
            self._store.put(checkpoint_name(job, job.fidelity), ended.result.weights)
        before = _continued_by(job)
        if before is not None and job.replicate == 0:
            self._store.forget(before)
        return dataclasses.replace(ended, job=job, result=dataclasses.replace(ended.result, weights=None))

    def close(self) -> None:
        """Stop the workers; jobs still running are dropped."""
        self._executor.close()


def checkpoint_name(job: Job, fidelity: Fidelity) -> str:
    """Give the name of a network's weights after a fidelity: all that they hang on but for data and settings."""
    what = [dataclasses.asdict(fidelity), job.seed, job.batch_share]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return f"{job.network[:16]}-{digest[:16]}"


def _continued_by(job: Job) -> str | None:
    """Give the name of the weights that a job goes on from; None where it starts from fresh ones."""
    if not isinstance(job.fidelity, ContinuedFidelity):
        return None
    return checkpoint_name(job, job.fidelity.continues)
