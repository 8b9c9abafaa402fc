import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from effsearch.search.baseline import search_baseline
from effsearch.search.placement.attempt import attempt, ended_by
from effsearch.search.placement.executor import Evaluator
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool import Ended
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.make_proposer import make_proposer
from effsearch.space.errors import SpecError
from effsearch.space.outcome import Evaluation, Fidelity, Job, OutOfMemory, ProxyResult
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

MakeJob = Callable[..., Job]
Start = Callable[..., PoolExecutor]

KILLED = "the worker was killed (SIGKILL; the system may have run out of memory)"


class ThisProcess:
    """A pool of one slot, which is this process."""

    num_slots = 1

    def __init__(self, work: Callable[[Job], ProxyResult]) -> None:
        self._work = work
        self._jobs: list[Job] = []

    @property
    def num_running(self) -> int:
        return len(self._jobs)

    def submit(self, task: Job) -> None:
        self._jobs.append(task)

    def wait(self) -> Ended[Job, ProxyResult]:
        job = self._jobs.pop()
        return ended_by(attempt(self._work, job), job, 0.0)

    def close(self) -> None:
        """Nothing to stop."""


@pytest.fixture
def start(functions: ModuleType) -> Iterator[Start]:
    started: list[PoolExecutor] = []

    def make(evaluate: Evaluator, *, num_workers: int = 1, **options: Any) -> PoolExecutor:
        say = options.pop("say", lambda text: None)
        pool = partial(ProcessPool, num_workers=num_workers, prepare=functions.prepare, **options)
        started.append(PoolExecutor(evaluate, pool, say=say))
        return started[-1]

    yield make
    for executor in started:
        executor.close()


@pytest.fixture
def executor(start: Start, functions: ModuleType) -> PoolExecutor:
    return start(functions.evaluate)


def test_a_job_comes_back_with_its_score(executor: PoolExecutor, make_job: MakeJob) -> None:
    job = make_job("trial 1", seed=250)
    executor.submit(job)
    assert (executor.num_slots, executor.num_running) == (1, 1)
    evaluation = executor.wait()
    assert evaluation.job == job
    assert evaluation.result is not None
    assert evaluation.result.val_accuracy == 0.25
    assert evaluation.result.val_loss == 1.0  # the worker was prepared once
    assert (evaluation.failure, executor.num_running) == ("", 0)
    assert 0 < evaluation.seconds < 600


def test_a_training_that_fails_or_whose_workers_die_is_an_outcome(
    executor: PoolExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    reasons = []
    for seed in (functions.FAILS, functions.DIES):
        executor.submit(make_job(seed=seed))
        evaluation = executor.wait()
        assert evaluation.result is None
        reasons.append(evaluation.failure)
    died = "the worker died (exit code 7)"
    assert reasons == ["the loss is not a number", f"{died}; again: {died}"]


def test_a_crash_of_the_training_code_is_a_failure_with_its_place_and_is_not_tried_again(
    executor: PoolExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    executor.submit(make_job("trial 7", seed=functions.BREAKS))
    evaluation = executor.wait()
    assert evaluation.result is None
    assert re.fullmatch(
        r"broke the training code: ValueError: shapes differ \(evaluate, line \d+\)", evaluation.failure
    )


def test_a_killed_training_is_done_again_and_the_others_do_not_notice(
    start: Start, make_job: MakeJob, functions: ModuleType, tmp_path: Path
) -> None:
    said: list[str] = []
    faulty = functions.FaultyEvaluator(tmp_path, share_killed=0.2)
    executor = start(faulty, num_workers=2, say=said.append)
    bad = [seed for seed in range(8) if functions.is_faulty(seed, 0, 0.2)]
    assert bad
    assert not any(functions.is_faulty(seed, 1, 0.2) for seed in bad)
    jobs = [make_job(f"job {seed}", seed=seed) for seed in range(8)]
    waiting, ended = list(jobs), list[Evaluation]()
    while waiting or executor.num_running:
        while waiting and executor.num_running < executor.num_slots:
            executor.submit(waiting.pop(0))
        ended.append(executor.wait())
    assert sorted(one.job.seed for one in ended) == list(range(8))  # each once
    assert all(one.result and not one.failure for one in ended)
    assert sorted(said) == [f"job {seed}: {KILLED}; again" for seed in bad]
    num_tried = {seed: len(list(tmp_path.glob(f"{seed}-*"))) for seed in range(8)}
    assert num_tried == {seed: 1 + (seed in bad) for seed in range(8)}


def test_a_training_that_hangs_twice_is_stopped_twice_and_recorded(
    start: Start, make_job: MakeJob, functions: ModuleType
) -> None:
    executor = start(functions.evaluate, seconds_allowed=lambda job: 1.0 if job.seed > 100 else None)
    executor.submit(make_job(seed=functions.SLEEPS))
    evaluation = executor.wait()
    stopped = "ran for more than 1 s and was stopped (--trial-timeout allows more)"
    assert (evaluation.result, evaluation.failure) == (None, f"{stopped}; again: {stopped}")
    assert evaluation.seconds >= 2.0
    executor.submit(make_job(seed=1))
    assert executor.wait().result is not None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not keep to the limit")
def test_running_out_of_memory_gets_half_the_batch_and_then_a_failure(
    start: Start, make_job: MakeJob, functions: ModuleType
) -> None:
    """A real limit on a real worker that may have 200 MB more: half of 300 MB fit, half of 700 do not."""
    said: list[str] = []
    executor = start(functions.LimitedEvaluator(megabytes_allowed=200), say=said.append)
    executor.submit(make_job("trial 3", seed=300))
    fits = executor.wait()
    assert fits.result is not None
    assert (fits.job.batch_share, fits.result.num_images_seen) == (0.5, 32)
    (words,) = said
    assert words.startswith("trial 3: out of memory: ")
    assert words.endswith("; again with half the batch")
    executor.submit(make_job("trial 4", seed=700))
    fits_not = executor.wait()
    assert (fits_not.result, fits_not.job.batch_share) == (None, 0.5)
    first, second = fits_not.failure.split("; again with half the batch: ")
    assert first.startswith("out of memory: ")
    assert second.startswith("out of memory: ")
    executor.submit(make_job("trial 5", seed=100))
    small = executor.wait()
    assert small.result is not None
    assert (small.job.batch_share, small.result.num_images_seen) == (1.0, 64)


class WithWeights:
    """Runs out of memory with weights to go on from, as a whole batch would."""

    def __init__(self, checkpoint: bytes | None = None, batch_share: float = 1.0) -> None:
        self.checkpoint = checkpoint
        self.batch_share = batch_share

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if self.batch_share == 1:
            raise OutOfMemory("out of memory: 9 bytes")
        return ProxyResult(
            val_accuracy=0.5, val_loss=1.0, train_seconds=1.0, num_images_seen=8, weights=self.checkpoint
        )

    def with_batch_share(self, share: float) -> "WithWeights":
        return WithWeights(self.checkpoint, share)

    def with_weights(self, checkpoint: bytes | None, *, keeps_weights: bool) -> "WithWeights":
        assert keeps_weights
        return WithWeights(checkpoint or b"none came", self.batch_share)


def test_half_the_batch_does_not_go_on_from_the_weights_of_a_whole_one(make_job: MakeJob) -> None:
    executor = PoolExecutor(WithWeights(), ThisProcess)
    executor.submit(dataclasses.replace(make_job(), checkpoint=b"of the whole batch", keeps_weights=True))
    evaluation = executor.wait()
    assert evaluation.result is not None
    assert (evaluation.job.batch_share, evaluation.result.weights) == (0.5, b"none came")


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_job_takes_a_share_of_the_batch(make_job: MakeJob, share: float) -> None:
    with pytest.raises(SpecError, match=f"batch_share must be above 0 and at most 1, got {share}"):
        dataclasses.replace(make_job(), batch_share=share)


def test_an_evaluator_without_a_batch_runs_out_of_memory_once(
    executor: PoolExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    executor.submit(make_job(seed=functions.STARVES))
    evaluation = executor.wait()
    assert (evaluation.failure, evaluation.job.batch_share) == ("out of memory: 9 bytes", 1.0)


def test_a_search_on_a_machine_that_fails_now_and_then_ends_with_what_was_asked(
    start: Start,
    functions: ModuleType,
    macro: SearchSpace,
    make_problem: Callable[..., Problem],
    tmp_path: Path,
) -> None:
    """One training in twenty is killed, and one in fifty hangs."""
    problem = make_problem(macro)
    settings = SearchSettings(
        num_trials=60, minutes=None, seed=0, sampler="random", num_finalists=1, num_seeds=1
    )
    said: list[str] = []
    faulty = functions.FaultyEvaluator(tmp_path, share_killed=0.05, share_hung=0.02)

    def hangs(seed: int, attempt: int) -> bool:
        return bool(functions.is_faulty(seed + 1, attempt, 0.02))

    def is_bad(seed: int, attempt: int) -> bool:
        return hangs(seed, attempt) or bool(functions.is_faulty(seed, attempt, 0.05))

    handed_out = Counter[int]()

    def seconds_allowed(job: Job) -> float:
        attempt = handed_out[job.seed]
        handed_out[job.seed] += 1
        return 5.0 if hangs(job.seed, attempt) else 120.0  # a new worker takes long on a busy machine

    executor = start(faulty, num_workers=2, seconds_allowed=seconds_allowed, say=said.append)
    record: list[Evaluation] = []
    result = search_baseline(
        problem,
        settings,
        executor=executor,
        proposer=make_proposer(problem, settings, screened={}, earlier=(), seed=0),
        clock=lambda: 0.0,
        record=record.append,
    )
    assert executor.num_running == 0
    assert result.num_trials == 60
    assert len({one.job.network for one in record}) == len(record) == 60

    bad = [one.job.seed for one in record if is_bad(one.job.seed, 0)]
    lost = [seed for seed in bad if is_bad(seed, 1)]
    assert bad
    assert len(said) == len(bad)
    assert sorted(one.job.seed for one in record if one.failure) == sorted(lost)
    assert result.num_failed == len(lost)
