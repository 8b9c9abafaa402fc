import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from effsearch.search.local import ProcessExecutor
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Job

MakeJob = Callable[..., Job]
MakeExecutor = Callable[[int], ProcessExecutor]


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # spawned processes inherit the path
    import worker_functions

    module: ModuleType = worker_functions
    return module


@pytest.fixture
def start(functions: ModuleType) -> Iterator[MakeExecutor]:
    started: list[ProcessExecutor] = []

    def make(num_workers: int) -> ProcessExecutor:
        started.append(
            ProcessExecutor(functions.evaluate, num_workers=num_workers, prepare=functions.prepare)
        )
        return started[-1]

    yield make
    for executor in started:
        executor.close()


def train(executor: ProcessExecutor, *jobs: Job) -> list[Evaluation]:
    for job in jobs:
        executor.submit(job)
    return [executor.wait() for _ in jobs]


def process_of(evaluation: Evaluation) -> int:
    assert evaluation.result is not None
    return evaluation.result.num_images_seen


def test_a_worker_trains_many_jobs_and_is_prepared_once(start: MakeExecutor, make_job: MakeJob) -> None:
    executor = start(1)
    evaluations = [train(executor, make_job(seed=seed))[0] for seed in (1, 2, 3)]
    assert [one.result.val_accuracy for one in evaluations if one.result] == [0.001, 0.002, 0.003]
    assert [one.result.val_loss for one in evaluations if one.result] == [1.0, 1.0, 1.0]
    assert len({process_of(one) for one in evaluations} - {os.getpid()}) == 1


def test_a_worker_that_dies_costs_one_training_and_is_replaced(
    start: MakeExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    executor = start(2)
    ended = train(executor, make_job("dead", seed=functions.DIES), make_job("well", seed=1))
    by_name = {evaluation.job.name: evaluation for evaluation in ended}
    assert by_name["dead"].result is None
    assert by_name["dead"].failure == "the worker died (exit code 7)"
    assert by_name["well"].failure == ""
    assert (executor.num_slots, executor.num_running) == (2, 0)
    again = train(executor, make_job(seed=2), make_job(seed=3))
    assert {one.failure for one in again} == {""}
    assert process_of(by_name["well"]) in {process_of(one) for one in again}
    assert len({process_of(one) for one in again}) == 2


def test_a_worker_killed_while_idle_costs_nothing(start: MakeExecutor, make_job: MakeJob) -> None:
    executor = start(1)
    (before,) = train(executor, make_job(seed=1))
    os.kill(process_of(before), signal.SIGKILL)
    for process in multiprocessing.active_children():
        if process.pid == process_of(before):
            process.join(10)
    (after,) = train(executor, make_job(seed=2))
    assert after.failure == ""
    assert process_of(after) != process_of(before)


def test_failures_are_outcomes_and_bugs_stop_the_search(
    start: MakeExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    executor = start(1)
    (evaluation,) = train(executor, make_job(seed=functions.FAILS))
    assert (evaluation.result, evaluation.failure) == (None, "the loss is not a number")
    executor.submit(make_job("trial 7", seed=functions.BREAKS))
    with pytest.raises(
        RunError, match=r"trial 7 broke the training code: ValueError: shapes differ \(evaluate, line \d+\)"
    ):
        executor.wait()
    assert executor.num_running == 0


def test_closing_leaves_no_process_even_when_one_is_busy(
    start: MakeExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    before = set(multiprocessing.active_children())
    executor = start(2)
    (evaluation,) = train(executor, make_job(seed=1))
    executor.submit(make_job(seed=functions.SLEEPS))
    ours = set(multiprocessing.active_children()) - before
    assert process_of(evaluation) in {process.pid for process in ours}
    executor.close()
    assert not any(process.is_alive() for process in ours)
    assert set(multiprocessing.active_children()) <= before
