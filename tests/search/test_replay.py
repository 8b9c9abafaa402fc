import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from effsearch.results.evaluations import from_entry, to_entry
from effsearch.search.baseline import BaselineResult, go_on_with_baseline
from effsearch.search.fidelity import continue_rungs, make_rungs
from effsearch.search.placement.executor import Executor, SerialExecutor
from effsearch.search.problem import Problem, Progress, SamplerName, SearchSettings
from effsearch.search.proposers.make_proposer import make_proposer
from effsearch.search.replay import Diverged, ReplayingExecutor
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, TrainingFailed
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

TOP = Fidelity(num_images=300, num_epochs=3, resolution=32)
NUM_TRIALS = 10


def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Scores by the seed; one training in six fails."""
    if seed % 6 == 0:
        raise TrainingFailed("the loss became nan")
    return ProxyResult(val_accuracy=seed % 97 / 97, val_loss=1.0, train_seconds=0.1, num_images_seen=1)


@pytest.fixture
def problem(make_problem: Callable[..., Problem]) -> Problem:
    space = space_from_yaml(
        "schema_version: 1\nname: small\nstem: {out_channels: 8}\nstages:\n"
        + "  - {channels: 8, repeats: [1, 2], kernel_size: [3, 5, 7]}\n" * 3
        + "head: {out_channels: 0}\n"
    )
    rungs = continue_rungs(make_rungs(TOP, num_rungs=2, reduction=3))
    return dataclasses.replace(make_problem(space, "380k-FLOPs"), rungs=rungs)


def search(
    problem: Problem,
    history: Sequence[Evaluation] = (),
    *,
    sampler: SamplerName = "tpe",
    num_trials: int = NUM_TRIALS,
    executor: Executor | None = None,
    most: int = 10_000,
    notify: Callable[[Progress], None] = lambda progress: None,
) -> tuple[list[Evaluation], BaselineResult | None]:
    """Give what was newly trained, and the result; None where it was interrupted after `most` trainings."""
    settings = SearchSettings(
        num_trials=num_trials, minutes=None, sampler=sampler, num_finalists=2, num_seeds=2, num_startup=4
    )
    record: list[Evaluation] = []

    def take(evaluation: Evaluation) -> None:
        if len(record) == most:
            raise KeyboardInterrupt
        record.append(evaluation)

    try:
        result = go_on_with_baseline(
            problem,
            settings,
            executor=executor or SerialExecutor(evaluate),
            make_proposer=lambda number: make_proposer(
                problem, settings, screened={}, earlier=(), seed=number
            ),
            clock=lambda: 0.0,
            record=take,
            history=history,
            notify=notify,
        )
    except KeyboardInterrupt:
        return record, None
    return record, result


def from_disk(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        from_entry(to_entry(one, data_fingerprint="d", settings_hash="s", now=now)) for one in evaluations
    ]


def what(evaluations: Sequence[Evaluation]) -> list[tuple[object, ...]]:
    return [
        (one.job.kind, one.job.name, one.job.network, one.job.fidelity, one.job.seed, one.failure)
        for one in evaluations
    ]


@pytest.mark.parametrize("sampler", ["thompson", "tpe", "evolution"])
def test_interrupted_and_resumed_equals_uninterrupted(problem: Problem, sampler: SamplerName) -> None:
    whole, result = search(problem, sampler=sampler)
    assert result is not None
    assert {one.job.kind for one in whole} == {"trial", "rung", "confirm"}
    for most in (1, 5, NUM_TRIALS, len(whole) - 1, len(whole)):
        first, _ = search(problem, sampler=sampler, most=most)
        assert what(first) == what(whole[:most])
        rest, again = search(problem, from_disk(first), sampler=sampler)
        assert what(first + rest) == what(whole)
        assert again is not None
        assert again.best.network == result.best.network


def test_interrupted_again_and_again_equals_uninterrupted(problem: Problem) -> None:
    whole, _ = search(problem)
    done: list[Evaluation] = []
    while len(done) < len(whole):
        some, _ = search(problem, from_disk(done), most=3)
        done += some
    assert what(done) == what(whole)


def test_more_trials_go_on_from_what_was_trained(problem: Problem) -> None:
    first, _ = search(problem, num_trials=6)
    rest, result = search(problem, from_disk(first), num_trials=9)
    assert result is not None
    assert result.num_trials == 9
    names = [one.job.name for one in first + rest if one.job.kind == "trial"]
    assert len(set(names)) == 9


def test_what_was_recorded_is_neither_recorded_nor_shown_again(problem: Problem) -> None:
    shown: list[Progress] = []
    first, _ = search(problem, most=6)
    rest, _ = search(problem, from_disk(first), notify=shown.append)
    assert len(shown) == len(rest)
    assert not set(map(str, what(rest))) & set(map(str, what(first)))


def test_failures_of_earlier_calls_do_not_end_a_resumed_search(problem: Problem) -> None:
    """What made them fail may be mended by now."""

    def broken(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("no such device")

    record: list[Evaluation] = []
    settings = SearchSettings(
        num_trials=NUM_TRIALS, minutes=None, sampler="tpe", num_finalists=2, num_seeds=2
    )
    with pytest.raises(RunError, match="10 trainings in a row failed"):
        go_on_with_baseline(
            problem,
            settings,
            executor=SerialExecutor(broken),
            make_proposer=lambda number: make_proposer(
                problem, settings, screened={}, earlier=(), seed=number
            ),
            clock=lambda: 0.0,
            record=record.append,
        )
    assert len(record) == 10
    rest, result = search(problem, from_disk(record), num_trials=NUM_TRIALS + 4)
    assert result is not None
    assert sum(not one.failure for one in rest) > 0


def test_a_history_of_another_order_is_found_out_before_anything_is_trained(problem: Problem) -> None:
    whole, _ = search(problem)
    first = from_disk(whole[:5])
    jobs: list[Job] = []

    class Counting(SerialExecutor):
        def submit(self, job: Job) -> None:
            jobs.append(job)
            super().submit(job)

    rest, result = search(problem, first[::-1], executor=Counting(evaluate))
    assert result is not None
    assert len(jobs) == len(rest)
    assert not {job.network for job in jobs if job.kind == "trial"} & {one.job.network for one in first}


def test_another_job_than_the_recorded_one_is_told(problem: Problem) -> None:
    whole, _ = search(problem)
    executor = ReplayingExecutor(SerialExecutor(evaluate), whole[:1])
    with pytest.raises(Diverged):
        executor.submit(whole[1].job)
    executor.submit(whole[0].job)
    assert (executor.num_running, executor.num_left) == (1, 0)
    assert executor.wait() is whole[0]
    executor.submit(whole[1].job)
    assert executor.wait().job is whole[1].job
    executor.close()
