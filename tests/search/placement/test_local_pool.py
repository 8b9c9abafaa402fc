import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool import Ended
from effsearch.space.errors import RunError

MakePool = Callable[..., ProcessPool[Any, Any]]


@pytest.fixture
def start(functions: ModuleType) -> Iterator[MakePool]:
    started: list[ProcessPool[Any, Any]] = []

    def make(num_workers: int, **options: Any) -> ProcessPool[Any, Any]:
        options = {"work": functions.work, "prepare": functions.prepare, **options}
        started.append(ProcessPool(num_workers=num_workers, **options))
        return started[-1]

    yield make
    for pool in started:
        pool.close()


@pytest.fixture
def run(functions: ModuleType) -> Callable[..., list[Ended[Any, Any]]]:
    def run_all(pool: ProcessPool[Any, Any], *seeds: int) -> list[Ended[Any, Any]]:
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
    assert (dead.cause, well.cause) == ("died", "")
    assert (well.value[0], well.failure) == (1, "")
    assert (pool.num_slots, pool.num_running) == (2, 0)
    again = run(pool, 2, 3)
    assert {one.failure for one in again} == {""}
    processes = {one.value[2] for one in again}
    assert well.value[2] in processes
    assert len(processes) == 2


def test_large_tasks_come_and_go_like_small_ones(start: MakePool, functions: ModuleType) -> None:
    pool = start(2)
    for _ in range(2):
        for _ in range(2):
            pool.submit(functions.LargeTask())
        assert {pool.wait().failure for _ in range(2)} == {""}


def test_a_worker_that_dies_before_it_has_taken_a_large_task_is_an_outcome(
    start: MakePool, functions: ModuleType
) -> None:
    pool = start(1, prepare=functions.die_while_preparing)
    pool.submit(functions.LargeTask())
    ended = pool.wait()
    assert (ended.cause, ended.value) == ("died", None)


def test_a_worker_that_is_long_in_getting_ready_does_not_hold_up_the_driver(
    start: MakePool, functions: ModuleType
) -> None:
    pool = start(1, prepare=functions.prepare_for_long, seconds_allowed=lambda task: 1.0)
    pool.submit(functions.LargeTask())
    assert pool.wait().cause == "hung"


def test_a_killed_worker_is_named_with_its_signal_and_what_it_may_mean(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    (ended,) = run(start(1), functions.KILLED)
    assert ended.failure == "the worker was killed (SIGKILL; the system may have run out of memory)"
    assert ended.cause == "died"


def test_a_worker_killed_in_the_middle_of_an_answer_costs_one_task(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(1)
    ((_, _, process),) = [one.value for one in run(pool, 1)]
    pool.submit(functions.LongAnswer())
    wait_for_an_answer(pool)  # its beginning, and nobody reads on
    os.kill(process, signal.SIGKILL)
    ended = pool.wait()
    assert (ended.value, ended.cause) == (None, "died")
    assert run(pool, 2)[0].failure == ""


def test_a_worker_that_takes_too_long_is_killed_and_replaced(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(2, seconds_allowed=lambda task: 0.3 if task.seed == functions.SLEEPS else None)
    before = {one.value[2] for one in run(pool, 1, 2)}
    (hung,) = run(pool, functions.SLEEPS)
    assert (hung.value, hung.cause) == (None, "hung")
    assert hung.failure == "ran for more than 0.3 s and was stopped (--trial-timeout allows more)"
    assert 0.3 <= hung.seconds < 20
    after = {one.value[2] for one in run(pool, 3, 4)}
    assert len(after) == 2
    assert len(after & before) == 1
    assert not {process.pid for process in multiprocessing.active_children()} & (before - after)


def test_a_task_that_hangs_is_stopped_while_others_keep_the_driver_busy(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(2, seconds_allowed=lambda task: 0.3 if task.seed == functions.SLEEPS else 60.0)
    run(pool, 1, 2)
    pool.submit(functions.NumberTask(functions.SLEEPS))
    num_others = 0
    while True:
        pool.submit(functions.NumberTask(3))
        ended = pool.wait()
        if ended.cause == "hung":
            break
        num_others += 1
    assert num_others > 3
    assert pool.wait().value[0] == 3


def test_an_answer_that_is_there_is_taken_even_when_its_time_is_over(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(1, seconds_allowed=lambda task: 0.0)
    pool.submit(functions.NumberTask(5))
    wait_for_an_answer(pool)  # the driver was busy with something else
    assert pool.wait().value[0] == 5


def wait_for_an_answer(pool: ProcessPool[Any, Any]) -> None:
    (worker,) = pool._workers
    assert worker.pipe.poll(60), "the worker has not begun to answer"


def test_a_worker_that_replaces_another_has_its_slot_and_none_hears_of_ctrl_c(
    start: MakePool, functions: ModuleType
) -> None:
    pool = start(3, work=functions.describe_worker, prepare=functions.remember_slot)
    seeds = (1, functions.KILLED, 2)
    for seed in seeds:
        pool.submit(functions.NumberTask(seed))
    first = [pool.wait().value for _ in seeds]
    assert sorted(value for value in first if value) == [(0, True), (2, True)]
    for seed in (3, 4, 5):
        pool.submit(functions.NumberTask(seed))
    assert sorted(pool.wait().value for _ in seeds) == [(0, True), (1, True), (2, True)]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "the driver hears of it"


def test_a_worker_that_cannot_be_prepared_stops_the_run_and_is_no_failure_of_its_task(
    start: MakePool, functions: ModuleType
) -> None:
    pool = start(2, prepare=functions.refuse_to_prepare)
    for seed in (functions.FAILS, functions.FAILS):
        pool.submit(functions.NumberTask(seed))
    said = []
    for _ in range(2):
        try:
            said.append(pool.wait().failure)
        except RunError as error:
            said.append(str(error))
    assert sorted(said)[0].startswith("a worker could not be started: ValueError: no such device (refuse_to")
    assert sorted(said)[1] == "the loss is not a number"


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


def test_failures_and_bugs_are_outcomes_and_errors_stop_the_run(
    start: MakePool, run: Any, functions: ModuleType
) -> None:
    pool = start(1)
    (failed,) = run(pool, functions.FAILS)
    assert (failed.value, failed.failure) == (None, "the loss is not a number")
    assert failed.cause == "training"
    (starved,) = run(pool, functions.STARVES)
    assert (starved.failure, starved.cause) == ("out of memory: 9 bytes", "memory")
    pool.submit(functions.NumberTask(functions.REFUSES))
    with pytest.raises(RunError, match=r"^the images changed$"):
        pool.wait()
    (broken,) = run(pool, functions.BREAKS)
    assert broken.cause == "crash"
    assert re.fullmatch(
        r"broke the training code: ValueError: shapes differ \(evaluate, line \d+\)", broken.failure
    )
    assert pool.num_running == 0


def test_the_traceback_of_what_fails_in_a_worker_comes_to_the_driver_where_it_is_asked_for(
    start: MakePool, run: Any, functions: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFSEARCH_DEBUG", "1")  # before the worker starts
    pool = start(1)
    for seed in (functions.FAILS, functions.STARVES, functions.BREAKS):
        (failed,) = run(pool, seed)
        assert failed.trace.startswith("Traceback")
        assert "in evaluate\n" in failed.trace
    pool.submit(functions.NumberTask(functions.REFUSES))
    with pytest.raises(RunError, match="the images changed") as refused:
        pool.wait()
    (note,) = refused.value.__notes__
    assert note.startswith("in the worker:\nTraceback")
    monkeypatch.delenv("EFFSEARCH_DEBUG")
    (failed,) = run(start(1), functions.BREAKS)
    assert failed.trace == ""


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


@pytest.mark.parametrize("thread", ["main", "thread"])
def test_no_worker_outlives_a_driver_that_was_killed(thread: str) -> None:
    """Whichever thread of it had started them; one worker is busy, one idle."""
    with start_driver(thread) as driver:
        assert driver.stdout is not None
        assert len(driver.stdout.readline().split()) == 2
        driver.kill()
        driver.communicate(timeout=20)  # ends when the last process that has the driver's stdout has ended


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems let a stopped process lie")
def test_not_even_a_worker_that_gets_no_turn_outlives_its_driver() -> None:
    with start_driver("main") as driver:
        assert driver.stdout is not None
        for process in map(int, driver.stdout.readline().split()):
            os.kill(process, signal.SIGSTOP)
        driver.kill()
        driver.communicate(timeout=20)


def start_driver(thread: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("drive_and_wait.py")
    return subprocess.Popen([sys.executable, str(script), thread], stdout=subprocess.PIPE, text=True)


def test_a_worker_keeps_nothing_of_the_tasks_it_has_done(start: MakePool, functions: ModuleType) -> None:
    pool = start(1)
    counts = []
    for _ in range(3):
        pool.submit(functions.CountTask())
        counts.append(pool.wait().value)
    assert counts == [1, 1, 1]  # the one that asks


def test_workers_do_not_run_the_main_program() -> None:
    """A program from stdin could not be run again, and a script without a guard would start over."""
    program = (
        "from effsearch.search.placement.local_pool import ProcessPool\n"
        "pool = ProcessPool(len, num_workers=2, prepare=float)\n"
        "pool.submit('abc')\n"
        "print(pool.wait().value, __name__)\n"
        "pool.close()\n"
    )
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3 __main__\n", "")
