import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from effsearch.search.placement.pool import Ended, WorkerPool
from effsearch.space.errors import RunError

MakePool = Callable[[int], WorkerPool[Any, Any]]


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # spawned processes inherit the path
    import worker_functions

    module: ModuleType = worker_functions
    return module


@pytest.fixture
def start(functions: ModuleType) -> Iterator[MakePool]:
    started: list[WorkerPool[Any, Any]] = []

    def make(num_workers: int) -> WorkerPool[Any, Any]:
        started.append(WorkerPool(functions.work, num_workers=num_workers, prepare=functions.prepare))
        return started[-1]

    yield make
    for pool in started:
        pool.close()


@pytest.fixture
def run(functions: ModuleType) -> Callable[..., list[Ended[Any, Any]]]:
    def run_all(pool: WorkerPool[Any, Any], *seeds: int) -> list[Ended[Any, Any]]:
        for seed in seeds:
            pool.submit(functions.NumberTask(seed))
        return [pool.wait() for _ in seeds]

    return run_all


def test_a_worker_does_many_tasks_and_is_prepared_once(start: MakePool, run: Any) -> None:
    pool = start(1)
    ended = [run(pool, seed)[0] for seed in (1, 2, 3)]
    assert [one.value[:2] for one in ended] == [(1, 1), (2, 1), (3, 1)]
    assert [(one.task.seed, one.failure) for one in ended] == [(1, ""), (2, ""), (3, "")]
    assert len({one.value[2] for one in ended} - {os.getpid()}) == 1
    assert all(0 < one.seconds < 600 for one in ended)


def test_a_worker_that_dies_costs_one_task_and_is_replaced(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(2)
    by_seed = {one.task.seed: one for one in run(pool, functions.DIES, 1)}
    dead, well = by_seed[functions.DIES], by_seed[1]
    assert (dead.value, dead.failure) == (None, "the worker died (exit code 7)")
    assert (well.value[0], well.failure) == (1, "")
    assert (pool.num_slots, pool.num_running) == (2, 0)
    again = run(pool, 2, 3)
    assert {one.failure for one in again} == {""}
    processes = {one.value[2] for one in again}
    assert well.value[2] in processes
    assert len(processes) == 2


def test_a_worker_killed_while_idle_costs_nothing(start: MakePool, run: Any) -> None:
    pool = start(1)
    (before,) = run(pool, 1)
    os.kill(before.value[2], signal.SIGKILL)
    for process in multiprocessing.active_children():
        if process.pid == before.value[2]:
            process.join(10)
    (after,) = run(pool, 2)
    assert after.failure == ""
    assert after.value[2] != before.value[2]


def test_failures_are_outcomes_and_errors_and_bugs_stop_the_run(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(1)
    (failed,) = run(pool, functions.FAILS)
    assert (failed.value, failed.failure) == (None, "the loss is not a number")
    pool.submit(functions.NumberTask(functions.REFUSES))
    with pytest.raises(RunError, match=r"^the images changed$"):
        pool.wait()
    pool.submit(functions.NumberTask(functions.BREAKS))
    with pytest.raises(
        RunError,
        match=r"^number 103 broke the training code: ValueError: shapes differ \(evaluate, line \d+\)$",
    ):
        pool.wait()
    assert pool.num_running == 0


def test_closing_leaves_no_process_even_when_one_is_busy(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    before = set(multiprocessing.active_children())
    pool = start(2)
    (ended,) = run(pool, 1)
    pool.submit(functions.NumberTask(functions.SLEEPS))
    ours = set(multiprocessing.active_children()) - before
    assert ended.value[2] in {process.pid for process in ours}
    pool.close()
    assert not any(process.is_alive() for process in ours)
    assert set(multiprocessing.active_children()) <= before
