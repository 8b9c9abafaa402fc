from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from effsearch.search.placement.local import ProcessExecutor
from effsearch.space.errors import RunError
from effsearch.space.outcome import Job

MakeJob = Callable[..., Job]


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # spawned processes inherit the path
    import worker_functions

    module: ModuleType = worker_functions
    return module


@pytest.fixture
def executor(functions: ModuleType) -> Iterator[ProcessExecutor]:
    started = ProcessExecutor(functions.evaluate, num_workers=1, prepare=functions.prepare)
    yield started
    started.close()


def test_a_job_comes_back_with_its_score(executor: ProcessExecutor, make_job: MakeJob) -> None:
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


def test_a_training_that_fails_or_whose_worker_dies_is_an_outcome(
    executor: ProcessExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    reasons = []
    for seed in (functions.FAILS, functions.DIES):
        executor.submit(make_job(seed=seed))
        evaluation = executor.wait()
        assert evaluation.result is None
        reasons.append(evaluation.failure)
    assert reasons == ["the loss is not a number", "the worker died (exit code 7)"]


def test_a_bug_in_the_training_code_stops_the_search(
    executor: ProcessExecutor, make_job: MakeJob, functions: ModuleType
) -> None:
    executor.submit(make_job("trial 7", seed=functions.BREAKS))
    with pytest.raises(
        RunError, match=r"^trial 7 broke the training code: ValueError: shapes differ \(evaluate, line \d+\)$"
    ):
        executor.wait()
