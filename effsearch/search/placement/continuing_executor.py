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

    def put(self, name: str, content: bytes, *, score: float) -> None:
        """Keep weights; those of low scores may go first."""

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
        self._useless: list[str] = []  # what a longer training has made so

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
        self._put_away()
        before = _lower_names(job)[:1]
        self._executor.submit(
            dataclasses.replace(
                job,
                checkpoint=self._store.get(before[0]) if before else None,
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
            name = checkpoint_name(job, job.fidelity)
            self._store.put(name, ended.result.weights, score=ended.result.val_accuracy)
        if job.replicate == 0:
            self._useless += _lower_names(job)
        return dataclasses.replace(ended, job=job, result=dataclasses.replace(ended.result, weights=None))

    def close(self) -> None:
        """Stop the workers; jobs still running are dropped."""
        self._put_away()
        self._executor.close()

    def _put_away(self) -> None:
        """Delete what is useless; later than it became so, because its score is to be recorded first."""
        for name in self._useless:
            self._store.forget(name)
        self._useless.clear()


def checkpoint_name(job: Job, fidelity: Fidelity) -> str:
    """Give the name of a network's weights after a fidelity: all that they hang on but for data and settings."""
    what = [dataclasses.asdict(fidelity), job.seed, job.batch_share]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return f"{job.network[:16]}-{digest[:16]}"


def _lower_names(job: Job) -> list[str]:
    """Give the names of the weights that a job's fidelity goes through, the one that it goes on from first."""
    names, fidelity = [], job.fidelity
    while isinstance(fidelity, ContinuedFidelity):
        fidelity = fidelity.continues
        names.append(checkpoint_name(job, fidelity))
    return names
