from collections.abc import Callable
from typing import Any

import pytest

from effsearch.search.placement.executor import Evaluator, SerialExecutor, drive
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, TrainingFailed
from effsearch.space.spec import ModelSpec

MakeJob = Callable[..., Job]


def test_a_serial_training_gives_its_result(make_job: MakeJob, formula: Evaluator) -> None:
    executor = SerialExecutor(formula)
    job = make_job(seed=5)
    executor.submit(job)
    assert (executor.num_slots, executor.num_running) == (1, 1)
    evaluation = executor.wait()
    assert evaluation.job is job
    assert evaluation.result == formula(job.spec, job.fidelity, 5)
    assert (evaluation.failure, executor.num_running) == ("", 0)
    assert 0 <= evaluation.seconds < 60


def test_a_failed_training_is_an_outcome_with_its_reason(make_job: MakeJob) -> None:
    def fail(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    executor = SerialExecutor(fail)
    executor.submit(make_job())
    evaluation = executor.wait()
    assert (evaluation.result, evaluation.failure) == (None, "out of memory")


def test_a_bug_in_the_training_code_is_not_hidden(make_job: MakeJob) -> None:
    def broken(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise ZeroDivisionError("a bug")

    executor = SerialExecutor(broken)
    executor.submit(make_job())
    with pytest.raises(ZeroDivisionError, match="a bug"):
        executor.wait()


def test_driving_keeps_every_slot_busy_and_takes_every_job(
    make_job: MakeJob, formula: Evaluator, fake_executor: Any
) -> None:
    executor = fake_executor(formula, seconds=1.0, num_slots=3)
    jobs = [make_job(f"job {number}", seed=number) for number in range(7)]
    waiting, taken = list(jobs), list[Evaluation]()
    drive(executor, propose=lambda: waiting.pop(0) if waiting else None, take=taken.append)
    assert [evaluation.job for evaluation in taken] == jobs
    assert executor.most_running == 3
    assert executor.now == 3.0  # seven jobs in three rounds


def test_driving_asks_again_after_each_ended_job(
    make_job: MakeJob, formula: Evaluator, fake_executor: Any
) -> None:
    """A proposer that waits for a result may say "not now"."""
    taken: list[Evaluation] = []

    def propose() -> Job | None:
        num_given = len(taken) + executor.num_running
        return make_job(seed=num_given) if num_given == len(taken) < 3 else None

    executor = fake_executor(formula, seconds=1.0, num_slots=2)
    drive(executor, propose=propose, take=taken.append)
    assert len(taken) == 3
    assert executor.most_running == 1
