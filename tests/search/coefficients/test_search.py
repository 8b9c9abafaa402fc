import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from effsearch.search.coefficients.search import CoefficientResult, search_coefficients
from effsearch.search.coefficients.settings import CoefficientSettings
from effsearch.search.placement.executor import Evaluator, SerialExecutor
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Fidelity, ProxyResult, TrainingFailed
from effsearch.space.spec import ModelSpec

from .conftest import MakeList

SETTINGS = CoefficientSettings(num_trials=12, num_seeds=3)


def accuracy(value: float) -> ProxyResult:
    return ProxyResult(val_accuracy=value, val_loss=1.0, train_seconds=1.0, num_images_seen=100)


def prefer_wide(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    return accuracy(0.3 + spec.stages[0].out_channels / 50 + seed % 7 / 10_000)


def always_fail(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    raise TrainingFailed("out of memory")


def search(
    make_list: MakeList,
    settings: CoefficientSettings = SETTINGS,
    evaluate: Evaluator = prefer_wide,
    *,
    number: int = 12,
    history: Sequence[Evaluation] = (),
) -> tuple[CoefficientResult, list[Evaluation]]:
    record: list[Evaluation] = []
    result = search_coefficients(
        make_list(number),
        settings,
        executor=SerialExecutor(evaluate),
        clock=lambda: 0.0,
        record=record.append,
        history=history,
    )
    return result, record


def test_all_are_trained_and_the_best_wins(make_list: MakeList) -> None:
    result, record = search(make_list)
    assert result.best == result.candidates[11]
    assert [one.job.replicate for one in record] == [0] * 12 + [1] * 4 + [2] * 3
    assert (result.num_trials, result.num_trainings, result.num_failed) == (12, 19, 0)
    assert len({one.job.seed for one in record}) == 19
    assert record[0].job.name == "1.2,1.1,1.15"
    assert {one.job.kind for one in record} == {"coefficient"}
    assert result.checked == ()


def test_a_job_says_all_that_its_score_depends_on(make_list: MakeList) -> None:
    _, record = search(make_list)
    for job, candidate in zip((one.job for one in record), make_list(12).candidates, strict=False):
        assert (job.network, job.fidelity, job.spec, job.cost, job.phi) == (
            candidate.network,
            candidate.fidelity,
            candidate.spec,
            candidate.cost,
            candidate.exponent,
        )
        assert job.coefficients == dataclasses.astuple(candidate.coefficients)


def test_trials_are_counted_over_all_resumes(make_list: MakeList) -> None:
    _, before = search(make_list, dataclasses.replace(SETTINGS, num_trials=5, num_seeds=1))
    assert len(before) == 5
    result, after = search(make_list, history=before)
    whole, at_once = search(make_list)
    assert result == whole
    assert [one.job for one in before + after] == [one.job for one in at_once]
    again, nothing = search(make_list, history=before + after)
    assert (again, nothing) == (whole, [])


@pytest.mark.parametrize("number_done", [1, 7, 13, 16, 18])
def test_an_interrupted_search_ends_like_a_whole_one(make_list: MakeList, number_done: int) -> None:
    whole, record = search(make_list)
    result, rest = search(make_list, history=record[:number_done])
    assert result == whole
    assert len(rest) == len(record) - number_done


def test_what_was_not_trained_can_still_be_among_the_best(make_list: MakeList) -> None:
    result, _ = search(make_list, dataclasses.replace(SETTINGS, num_trials=3, num_seeds=1))
    assert [bool(accuracies) for accuracies in result.accuracies] == [True] * 3 + [False] * 9
    assert sum(one.is_in_set for one in result.verdict.standings) > 3


def test_more_seeds_on_a_resume_go_to_the_best(make_list: MakeList) -> None:
    _, before = search(make_list)
    result, after = search(make_list, dataclasses.replace(SETTINGS, num_seeds=5), history=before)
    assert Counter(one.job.replicate for one in after) == {3: 3, 4: 3}
    assert max(map(len, result.accuracies)) == 5


def test_failures_are_recorded_counted_and_left_out(make_list: MakeList) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if spec.stages[0].out_channels % 3 == 0:
            raise TrainingFailed("out of memory")
        return prefer_wide(spec, fidelity, seed)

    result, record = search(make_list, evaluate=evaluate)
    assert sum(one.result is None for one in record) == result.num_failed == 4
    assert len(result.candidates) == 8
    assert result.best.spec.stages[0].out_channels == 11


def test_a_search_in_which_everything_failed_says_so(make_list: MakeList) -> None:
    with pytest.raises(
        RunError, match="no coefficients came to a score; the last training failed with: out of memory"
    ):
        search(make_list, evaluate=always_fail, number=4)


def test_ten_failures_in_a_row_stop_the_search_with_what_they_share(make_list: MakeList) -> None:
    with pytest.raises(RunError, match=r"^10 trainings in a row failed, all with: out of memory$"):
        search(make_list, evaluate=always_fail)


@pytest.mark.parametrize(
    ("num_kinds", "message"),
    [
        (2, "10 trainings in a row failed, 5 of them with: reason 0; the last: reason 1"),
        (10, "10 trainings in a row failed, each in its own way; the last: reason 9"),
    ],
)
def test_failures_of_many_kinds_are_named(make_list: MakeList, num_kinds: int, message: str) -> None:
    count = iter(range(100))

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed(f"reason {next(count) % num_kinds}")

    with pytest.raises(RunError, match=message):
        search(make_list, evaluate=evaluate)


def test_the_check_trains_the_best_three_four_times_longer(make_list: MakeList) -> None:
    result, record = search(make_list, dataclasses.replace(SETTINGS, has_check=True))
    longer = [one.job for one in record if one.job.kind == "final"]
    assert [job.fidelity.num_epochs for job in longer] == [4] * 6
    assert [job.replicate for job in longer] == [0] * 3 + [1] * 3
    assert [one.candidate for one in result.checked] == list(result.verdict.order[:3])
    assert all(len(one.accuracies) == 2 for one in result.checked)
    without, _ = search(make_list)
    assert result.verdict == without.verdict
    again, nothing = search(make_list, dataclasses.replace(SETTINGS, has_check=True), history=record)
    assert (again, nothing) == (result, [])


def test_a_check_may_be_asked_for_later(make_list: MakeList) -> None:
    _, before = search(make_list)
    result, after = search(make_list, dataclasses.replace(SETTINGS, has_check=True), history=before)
    assert len(after) == 6
    assert len(result.checked) == 3


def test_longer_trainings_that_fail_are_left_out_of_the_check(make_list: MakeList) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if fidelity.num_epochs > 1 and spec.stages[0].out_channels == 12:
            raise TrainingFailed("out of memory")
        return prefer_wide(spec, fidelity, seed)

    result, _ = search(make_list, dataclasses.replace(SETTINGS, has_check=True), evaluate)
    assert len(result.checked) == 2
    assert result.best.spec.stages[0].out_channels == 12


@pytest.mark.parametrize("num_slots", [1, 2, 5])
def test_minutes_bound_the_search(make_list: MakeList, fake_executor: Any, num_slots: int) -> None:
    executor = fake_executor(prefer_wide, seconds=30.0, num_slots=num_slots)
    record: list[Evaluation] = []
    told: list[int] = []
    result = search_coefficients(
        make_list(40),
        CoefficientSettings(minutes=10),
        executor=executor,
        clock=executor.clock,
        record=record.append,
        notify=lambda evaluation, num_done: told.append(num_done),
    )
    assert executor.now <= 600
    assert told == list(range(1, len(record) + 1))
    assert executor.most_running == num_slots
    assert max(map(len, result.accuracies)) > 1
    if num_slots < 4:  # five workers end early: 65 trainings are all there is to do
        assert executor.now >= 540


def test_minutes_leave_room_for_the_check(make_list: MakeList, fake_executor: Any) -> None:
    executor = fake_executor(prefer_wide, seconds=10.0)
    result = search_coefficients(
        make_list(40),
        CoefficientSettings(minutes=10, has_check=True),
        executor=executor,
        clock=executor.clock,
        record=lambda evaluation: None,
    )
    assert len(result.checked) == 3
    assert result.num_trainings < 60
