import collections
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from effsearch.search.baseline import (
    BaselineResult,
    Problem,
    Progress,
    SearchSettings,
    search_baseline,
)
from effsearch.search.executor import Evaluator, SerialExecutor
from effsearch.search.proposer import Proposer
from effsearch.space.anchors import Anchor, make_anchor
from effsearch.space.budget import Budget, parse_budget
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import BudgetError, RunError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, ProxyResult, TrainingFailed, derive_seed
from effsearch.space.screening import draw_inside
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

BUDGET = parse_budget("60M-FLOPs")
SETTINGS = SearchSettings(num_trials=12, minutes=None, num_finalists=2, num_seeds=2, num_startup=6)


@pytest.fixture
def problem(macro: SearchSpace, fidelity: Fidelity) -> Problem:
    return Problem(space=macro, budget=BUDGET, resolution=32, num_classes=10, fidelity=fidelity)


@pytest.fixture
def narrow(widths: SearchSpace, fidelity: Fidelity) -> Problem:
    budget = parse_budget("1G-FLOPs")
    return Problem(space=widths, budget=budget, resolution=32, num_classes=10, fidelity=fidelity)


def run(
    problem: Problem,
    settings: SearchSettings,
    evaluate: Evaluator,
    *,
    history: Sequence[Evaluation] = (),
    notify: Callable[[Progress], None] = lambda progress: None,
) -> tuple[BaselineResult, list[Evaluation]]:
    record: list[Evaluation] = []
    result = search_baseline(
        problem,
        settings,
        executor=SerialExecutor(evaluate),
        clock=lambda: 0.0,
        record=record.append,
        history=history,
        notify=notify,
    )
    return result, record


def score(accuracy: float) -> ProxyResult:
    return ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=100)


def firsts(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    return [evaluation for evaluation in evaluations if evaluation.job.replicate == 0]


def anchor_at(space: SearchSpace, *point: int) -> Anchor:
    spec = space.spec_at(point, resolution=32, num_classes=10)
    return Anchor(name=f"known {point[0]}", phi=0.0, spec=spec)


def foreign_anchor(fidelity: Fidelity, budget: Budget = BUDGET) -> Anchor:
    anchor = make_anchor("mnasnet-a1", budget, resolution=32, num_classes=10)
    assert anchor is not None
    return anchor


# Trials


def test_nothing_outside_the_budget_is_trained_and_nothing_twice(
    problem: Problem, formula: Evaluator
) -> None:
    settings = dataclasses.replace(SETTINGS, num_trials=40)
    told: list[Progress] = []
    result, record = run(problem, settings, formula, notify=told.append)
    assert (result.num_trials, result.num_failed, result.stopped_by) == (40, 0, "trials")
    for evaluation in record:
        assert evaluation.job.cost == count_cost(evaluation.job.spec)
        assert BUDGET.allows(evaluation.job.cost)
    keys = [(evaluation.job.network, evaluation.job.replicate) for evaluation in record]
    assert len(set(keys)) == len(keys)
    assert len({evaluation.job.seed for evaluation in record}) == len(record)
    assert told[-1].num_refused > 0  # free of charge


def test_one_seed_gives_the_same_trials_and_another_gives_others(
    problem: Problem, formula: Evaluator
) -> None:
    def jobs(seed: int) -> list[Any]:
        _, record = run(problem, dataclasses.replace(SETTINGS, seed=seed), formula)
        return [(one.job.network, one.job.seed, one.job.kind, one.result) for one in record]

    assert jobs(1) == jobs(1)
    assert {job[0] for job in jobs(1)} != {job[0] for job in jobs(2)}


def test_seeds_are_derived_from_run_network_and_replicate(problem: Problem, formula: Evaluator) -> None:
    _, record = run(problem, dataclasses.replace(SETTINGS, seed=9), formula)
    for job in (evaluation.job for evaluation in record):
        assert job.seed == derive_seed(9, job.network, job.replicate)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_search_is_far_better_than_random(problem: Problem, formula: Evaluator, seed: int) -> None:
    """Random networks inside the budget have some 3 of the formula's 8 points, and the search must learn more."""
    settings = dataclasses.replace(SETTINGS, num_trials=60, seed=seed, num_seeds=1, num_startup=10)
    result, record = run(problem, settings, formula)
    found = [one.result.val_accuracy for one in record if one.result]
    rng = np.random.default_rng(seed)
    points = draw_inside(problem.space, BUDGET, 300, resolution=32, num_classes=10, rng=rng, least_share=0.8)
    drawn = [
        formula(
            problem.space.spec_at(point, resolution=32, num_classes=10), problem.fidelity, seed
        ).val_accuracy
        for point in points
    ]
    assert statistics.fmean(found[-20:]) > statistics.fmean(drawn) + 0.15
    assert result.best.mean_accuracy == max(found) > np.quantile(drawn, 0.98)


# Anchors


def test_anchors_are_trained_first_and_by_their_names(
    problem: Problem, formula: Evaluator, fidelity: Fidelity
) -> None:
    anchors = (anchor_at(problem.space, 2, 0, 1, 0, 1, 0, 1, 0), foreign_anchor(fidelity))
    result, record = run(dataclasses.replace(problem, anchors=anchors), SETTINGS, formula)
    jobs = [evaluation.job for evaluation in record]
    assert [(job.kind, job.name) for job in jobs[:2]] == [("anchor", anchor.name) for anchor in anchors]
    assert all(job.kind == "trial" for job in jobs[2:12])
    assert result.num_trials == 12  # the anchors among them
    assert {ranked.name for ranked in result.anchors} == {anchor.name for anchor in anchors}


def test_an_anchor_outside_the_space_is_ranked_but_kept_from_the_sampler(
    problem: Problem, formula: Evaluator, fidelity: Fidelity, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    tell_past = Proposer.tell_past

    def spy(self: Proposer, labels: Any, *, value: float | None, network: str) -> None:
        told.append(network)
        tell_past(self, labels, value=value, network=network)

    monkeypatch.setattr(Proposer, "tell_past", spy)
    inside = anchor_at(problem.space, 2, 0, 1, 0, 1, 0, 1, 0)
    outside = foreign_anchor(fidelity)
    result, record = run(dataclasses.replace(problem, anchors=(inside, outside)), SETTINGS, formula)
    assert told == [network_hash(inside.spec)]
    by_name = {evaluation.job.name: evaluation.job for evaluation in record}
    assert by_name[outside.name].choices == {}
    point = problem.space.point_of(by_name[inside.name].choices)
    assert network_hash(problem.space.spec_at(point, resolution=32, num_classes=10)) == told[0]
    assert outside.name in {ranked.name for ranked in result.anchors}


def test_an_anchor_is_not_trained_again_as_a_trial(narrow: Problem) -> None:
    anchors = (anchor_at(narrow.space, 3), anchor_at(narrow.space, 5), anchor_at(narrow.space, 3))
    settings = dataclasses.replace(SETTINGS, num_trials=20)
    _, record = run(dataclasses.replace(narrow, anchors=anchors), settings, lambda *_: score(0.5))
    networks = [evaluation.job.network for evaluation in firsts(record)]
    assert len(networks) == len(set(networks)) == 6
    assert [one.job.name for one in record[:2]] == ["known 3", "known 5"]  # the third is the first again


def test_an_anchor_at_another_resolution_is_scored_at_its_own(problem: Problem, formula: Evaluator) -> None:
    anchor = anchor_at(problem.space, 1, 1, 1, 1, 1, 1, 1, 1)
    larger = dataclasses.replace(anchor, spec=dataclasses.replace(anchor.spec, resolution=48))
    _, record = run(dataclasses.replace(problem, anchors=(larger,)), SETTINGS, formula)
    assert record[0].job.fidelity.resolution == 48
    assert record[0].job.choices == {}  # a point of the space has the space's resolution
    assert {one.job.fidelity.resolution for one in record if one.job.kind == "trial"} == {32}


# Failures


def test_failures_are_recorded_and_counted_as_trials(problem: Problem, formula: Evaluator) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if seed % 3 == 0:
            raise TrainingFailed("the loss is not a number")
        return formula(spec, fidelity, seed)

    told: list[Progress] = []
    result, record = run(problem, dataclasses.replace(SETTINGS, num_trials=25), evaluate, notify=told.append)
    failed = [evaluation for evaluation in firsts(record) if evaluation.result is None]
    assert 0 < result.num_failed == len(failed) < 25
    assert {evaluation.failure for evaluation in failed} == {"the loss is not a number"}
    assert result.num_trials == len(firsts(record)) == 25
    assert told[-1].num_failed == sum(evaluation.result is None for evaluation in record)


def test_ten_failures_in_a_row_end_the_run(problem: Problem) -> None:
    record: list[Evaluation] = []

    def fail(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    with pytest.raises(RunError, match=r"^10 trainings in a row failed; the last: out of memory$"):
        search_baseline(
            problem,
            dataclasses.replace(SETTINGS, num_trials=30),
            executor=SerialExecutor(fail),
            clock=lambda: 0.0,
            record=record.append,
        )
    assert len(record) == 10


def test_a_run_in_which_every_training_failed_says_so(narrow: Problem) -> None:
    def fail(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    with pytest.raises(RunError, match="no training came to a score; the last failed with: out of memory"):
        run(narrow, SETTINGS, fail)


def test_a_bug_in_the_training_code_stops_the_search(problem: Problem) -> None:
    def broken(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(problem, SETTINGS, broken)


def test_a_budget_that_nothing_fits_is_refused_before_any_training(
    problem: Problem, formula: Evaluator
) -> None:
    record: list[Evaluation] = []
    with pytest.raises(BudgetError, match="no candidate of nas-bench-macro fits"):
        search_baseline(
            dataclasses.replace(problem, budget=parse_budget("1M-FLOPs")),
            SETTINGS,
            executor=SerialExecutor(formula),
            clock=lambda: 0.0,
            record=record.append,
        )
    assert record == []


# Ends


def test_trials_are_counted_over_all_resumes(problem: Problem, formula: Evaluator) -> None:
    anchored = dataclasses.replace(problem, anchors=(anchor_at(problem.space, 2, 0, 1, 0, 1, 0, 1, 0),))
    _, before = run(anchored, dataclasses.replace(SETTINGS, num_trials=5), formula)
    result, after = run(anchored, dataclasses.replace(SETTINGS, num_trials=12), formula, history=before)
    assert (len(firsts(before)), len(firsts(after)), result.num_trials) == (5, 7, 12)
    keys = [(one.job.network, one.job.replicate) for one in before + after]
    assert len(set(keys)) == len(keys)
    again, nothing = run(
        anchored, dataclasses.replace(SETTINGS, num_trials=12), formula, history=before + after
    )
    assert nothing == []
    assert again == result


def test_a_run_cut_short_owes_its_confirmations(problem: Problem, formula: Evaluator) -> None:
    whole, record = run(problem, SETTINGS, formula)
    cut = [one for one in record if one.job.kind == "trial"] + record[-1:]
    result, rest = run(problem, SETTINGS, formula, history=cut)
    assert [one.job.network for one in rest] == [record[-2].job.network]
    assert result.best.network == whole.best.network


def test_past_failures_are_not_tried_again(narrow: Problem) -> None:
    def fail_first(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if spec.stages[0].out_channels == 8:
            raise TrainingFailed("too narrow")
        return score(0.5)

    settings = dataclasses.replace(SETTINGS, num_trials=6)
    _, before = run(narrow, settings, fail_first)
    result, after = run(narrow, dataclasses.replace(settings, num_trials=9), fail_first, history=before)
    assert firsts(after) == []
    assert (result.num_trials, result.num_failed, result.stopped_by) == (6, 1, "exhausted")


def test_an_exhausted_space_ends_the_run_and_says_so(narrow: Problem) -> None:
    result, record = run(narrow, dataclasses.replace(SETTINGS, num_trials=50), lambda *_: score(0.5))
    assert (result.stopped_by, result.num_trials) == ("exhausted", 6)
    assert len({one.job.network for one in record}) == 6


def test_an_exhausted_budget_ends_the_run_too(narrow: Problem) -> None:
    costs = sorted(
        count_cost(narrow.space.spec_at((index,), resolution=32, num_classes=10)).multiply_adds
        for index in range(6)
    )
    tight = dataclasses.replace(narrow, budget=Budget(multiply_adds=costs[3]))
    result, _ = run(tight, dataclasses.replace(SETTINGS, num_trials=50), lambda *_: score(0.5))
    assert (result.stopped_by, result.num_trials) == ("exhausted", 4)


def timed(
    problem: Problem, settings: SearchSettings, executor: Any, **values: Any
) -> tuple[BaselineResult, list[Evaluation]]:
    record: list[Evaluation] = []
    result = search_baseline(
        problem, settings, executor=executor, clock=executor.clock, record=record.append, **values
    )
    return result, record


def test_minutes_bound_the_whole_call_confirmation_included(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    """Ten minutes at 30 s each, four of them set aside: trials start up to 330 s, confirmations up to 570 s."""
    settings = SearchSettings(num_trials=None, minutes=10, num_finalists=5, num_seeds=3)
    executor = fake_executor(formula, seconds=30.0)
    result, record = timed(problem, settings, executor)
    assert result.stopped_by == "minutes"
    assert (result.num_trials, len(record)) == (12, 20)
    assert executor.now == 600.0


def test_time_is_set_aside_only_for_what_is_owed(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    """Two finalists once more on two workers are one round of 33 s: trials start up to 537 s."""
    settings = SearchSettings(num_trials=None, minutes=10, num_finalists=2, num_seeds=2)
    executor = fake_executor(formula, seconds=30.0, num_slots=2)
    result, record = timed(problem, settings, executor)
    assert (result.num_trials, len(record)) == (36, 38)
    assert executor.now == 570.0


def test_the_first_network_is_trained_however_short_the_time(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    settings = SearchSettings(num_trials=None, minutes=0.1)
    executor = fake_executor(formula, seconds=30.0)
    result, record = timed(problem, settings, executor, expected_seconds=30.0)
    assert (result.stopped_by, len(record)) == ("minutes", 1)
    assert result.best.seeds == (record[0].job.seed,)


def test_whichever_of_trials_and_minutes_comes_first_ends_the_run(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    settings = SearchSettings(num_trials=3, minutes=10, num_finalists=1, num_seeds=1)
    result, record = timed(problem, settings, fake_executor(formula, seconds=30.0))
    assert (result.stopped_by, len(record)) == ("trials", 3)


def test_many_workers_train_no_network_twice(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    executor = fake_executor(formula, seconds=1.0, num_slots=4)
    result, record = timed(problem, dataclasses.replace(SETTINGS, num_trials=30), executor)
    assert executor.most_running == 4
    assert result.num_trials == len({one.job.network for one in firsts(record)}) == 30


# Confirmation


def test_the_winner_has_the_best_mean_over_fresh_seeds(narrow: Problem) -> None:
    """The width of 16 is lucky at its first training and poor afterwards."""
    trained: collections.Counter[int] = collections.Counter()

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        channels = spec.stages[0].out_channels
        trained[channels] += 1
        return score((0.9 if trained[channels] == 1 else 0.3) if channels == 16 else channels / 100)

    settings = SearchSettings(num_trials=6, minutes=None, num_finalists=3, num_seeds=3)
    result, record = run(narrow, settings, evaluate)
    assert trained == {16: 3, 48: 3, 40: 3, 32: 1, 24: 1, 8: 1}
    assert result.best.spec.stages[0].out_channels == 16  # .9 .3 .3 is .5 and beats .48
    assert result.best.accuracies == (0.9, 0.3, 0.3)
    assert [one.spec.stages[0].out_channels for one in result.finalists] == [16, 48, 40]
    result, _ = run(narrow, dataclasses.replace(settings, num_seeds=4), evaluate)
    assert all(len(set(one.seeds)) == len(one.seeds) for one in result.finalists)
    confirmations = [one.job for one in record if one.job.kind == "confirm"]
    assert [job.replicate for job in confirmations] == [1, 1, 1, 2, 2, 2]


def test_a_lucky_first_training_does_not_win(narrow: Problem) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        channels = spec.stages[0].out_channels
        is_first = seed == derive_seed(0, network_hash(spec), 0)
        return score((0.9 if is_first else 0.1) if channels == 16 else channels / 100)

    settings = SearchSettings(num_trials=6, minutes=None, num_finalists=3, num_seeds=3)
    result, _ = run(narrow, settings, evaluate)
    assert result.best.spec.stages[0].out_channels == 48
    assert result.best.mean_accuracy == pytest.approx(0.48)
    assert [one.spec.stages[0].out_channels for one in result.finalists] == [48, 40, 16]


def test_anchors_are_confirmed_even_when_they_are_no_finalists(narrow: Problem) -> None:
    anchored = dataclasses.replace(narrow, anchors=(anchor_at(narrow.space, 0),))
    settings = SearchSettings(num_trials=6, minutes=None, num_finalists=2, num_seeds=3)
    result, _ = run(anchored, settings, lambda spec, *_: score(spec.stages[0].out_channels / 100))
    (anchor,) = result.anchors
    assert (anchor.name, anchor.accuracies) == ("known 0", (0.08, 0.08, 0.08))
    assert [one.spec.stages[0].out_channels for one in result.finalists] == [48, 40]


def test_a_finalist_that_fails_its_confirmation_falls_behind(narrow: Problem) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        channels = spec.stages[0].out_channels
        if channels == 48 and seed != derive_seed(0, network_hash(spec), 0):
            raise TrainingFailed("the loss is not a number")
        return score(channels / 100)

    settings = SearchSettings(num_trials=6, minutes=None, num_finalists=2, num_seeds=2)
    result, record = run(narrow, settings, evaluate)
    assert result.best.spec.stages[0].out_channels == 40
    assert record[-2].failure == "the loss is not a number"
    assert result.num_failed == 0  # of the networks' first trainings


def test_one_seed_means_no_confirmation(narrow: Problem) -> None:
    settings = SearchSettings(num_trials=4, minutes=None, num_seeds=1)
    _, record = run(narrow, settings, lambda *_: score(0.5))
    assert [one.job.kind for one in record] == ["trial"] * 4


def test_watchers_hear_of_every_training(narrow: Problem) -> None:
    told: list[Progress] = []
    settings = SearchSettings(num_trials=4, minutes=None, num_finalists=2, num_seeds=2)
    run(narrow, settings, lambda spec, *_: score(spec.stages[0].out_channels / 100), notify=told.append)
    assert [(one.phase, one.num_done) for one in told] == [
        *(("trials", count) for count in (1, 2, 3, 4)),
        *(("confirm", count) for count in (1, 2)),
    ]
    assert told[-1].best is not None
    assert told[-1].best.job.spec.stages[0].out_channels == max(
        one.last.job.spec.stages[0].out_channels for one in told if one.last
    )


# Objective


def test_the_reward_prefers_the_cheaper_of_equally_accurate_networks(narrow: Problem) -> None:
    settings = SearchSettings(num_trials=6, minutes=None, num_seeds=1, objective="reward")
    result, _ = run(narrow, settings, lambda *_: score(0.5))
    assert result.best.spec.stages[0].out_channels == 8
    share = result.best.cost.multiply_adds / 10**9
    assert result.best.mean_score == pytest.approx(0.5 * share**-0.07)
    assert result.best.mean_accuracy == 0.5


def test_the_rewards_exponent_may_be_set(narrow: Problem) -> None:
    settings = SearchSettings(
        num_trials=6, minutes=None, num_seeds=1, objective="reward", reward_exponent=0.5
    )
    result, _ = run(narrow, settings, lambda *_: score(0.5))
    assert result.best.spec.stages[0].out_channels == 48


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_trials": None}, "a search needs an end: give --trials or --minutes"),
        ({"num_trials": 0}, "--trials must be at least 1, got 0"),
        ({"minutes": 0.0}, "--minutes must be above 0, got 0"),
        ({"minutes": float("nan")}, "--minutes must be above 0, got nan"),
        ({"minutes": float("inf")}, "--minutes must be above 0, got inf"),
        ({"num_finalists": 0}, "--finalists and --seeds must be at least 1"),
        ({"num_seeds": 0}, "--finalists and --seeds must be at least 1"),
    ],
)
def test_settings_that_make_no_search_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(SETTINGS, **changes)
