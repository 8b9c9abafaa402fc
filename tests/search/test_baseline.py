import collections
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from effsearch.results.evaluations import from_entry, to_entry
from effsearch.results.ledger_entry import LedgerEntry
from effsearch.search.baseline import BaselineResult, search_baseline
from effsearch.search.placement.executor import Evaluator, SerialExecutor
from effsearch.search.problem import Problem, Progress, SearchSettings
from effsearch.search.proposers.make_proposer import make_proposer
from effsearch.search.proposers.proposer import Proposal, Proposer
from effsearch.search.valuation import Valuation, second_value
from effsearch.space.anchors import Anchor, make_anchor
from effsearch.space.budget import Budget, parse_budget, parse_budgets
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import BudgetError, RunError, UsageError
from effsearch.space.latency_table import LatencyTable
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, TrainingFailed, derive_seed
from effsearch.space.screening import draw_inside, sample_points, screen
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

BUDGET = parse_budget("60M-FLOPs")
SETTINGS = SearchSettings(
    num_trials=12, minutes=None, sampler="tpe", num_finalists=2, num_seeds=2, num_startup=6
)
V2_SETTINGS = SearchSettings(
    num_trials=6,
    minutes=None,
    sampler="tpe",
    num_finalists=2,
    num_seeds=2,
    num_startup=6,
    objective="reward",
    reward_exponent=0.0,
    step_time_exponent=-0.07,
    parameters_exponent=-0.05,
)
SHORT = Fidelity(num_images=100, num_epochs=1, resolution=32)
MIDDLE = Fidelity(num_images=300, num_epochs=1, resolution=32)
LONG = Fidelity(num_images=300, num_epochs=3, resolution=32)

MakeProblem = Callable[..., Problem]


@pytest.fixture
def problem(macro: SearchSpace, make_problem: MakeProblem) -> Problem:
    return make_problem(macro)


@pytest.fixture(scope="module")
def small(make_problem: MakeProblem) -> Problem:
    """216 points that are 174 networks, half of them inside the budget."""
    stages = "  - {channels: 8, repeats: [1, 2], kernel_size: [3, 5, 7]}\n" * 3
    text = (
        "schema_version: 1\nname: small\nstem: {out_channels: 8}\nstages:\n"
        + stages
        + "head: {out_channels: 0}\n"
    )
    return make_problem(space_from_yaml(text), "380k-FLOPs")


def fives(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Scores a small network by how many of its blocks have a kernel of five, with a little noise."""
    kernels = [block.kernel_size for stage in spec.stages for block in stage.blocks]
    return score(kernels.count(5) / 7 + (seed % 97) / 97 / 100)


@pytest.fixture
def narrow(widths: SearchSpace, make_problem: MakeProblem) -> Problem:
    return make_problem(widths, "1G-FLOPs")


@pytest.fixture(params=["thompson", "tpe"])
def settings(request: pytest.FixtureRequest) -> SearchSettings:
    """The settings with our own model behind them, and with a sampler of Optuna's."""
    return dataclasses.replace(SETTINGS, sampler=request.param)


def run(
    problem: Problem,
    settings: SearchSettings,
    evaluate: Evaluator,
    *,
    history: Sequence[Evaluation] = (),
    proposer: Proposer | None = None,
    executor: Any = None,
    notify: Callable[[Progress], None] = lambda progress: None,
    keeps: Callable[[ModelSpec], bool] = lambda spec: True,
) -> tuple[BaselineResult, list[Evaluation]]:
    record: list[Evaluation] = []
    result = search_baseline(
        problem,
        settings,
        executor=executor or SerialExecutor(evaluate),
        proposer=proposer or proposer_for(problem, settings, len(history)),
        clock=lambda: 0.0,
        record=record.append,
        history=history,
        notify=notify,
        keeps=keeps,
    )
    return result, record


def proposer_for(problem: Problem, settings: SearchSettings, num_past: int = 0) -> Proposer:
    return make_proposer(problem, settings, screened={}, earlier=(), seed=settings.seed + num_past)


class ListProposer:
    """Proposes the points of a list in their order, and believes what it is told to believe."""

    num_refused = 0

    def __init__(
        self,
        problem: Problem,
        points: Sequence[Point],
        *,
        has_prior: bool = False,
        belief: Callable[[Job], float | None] = lambda job: None,
    ) -> None:
        self.has_prior = has_prior
        self.belief = belief
        self.points = list(points)
        self.problem = problem
        self.seen: set[str] = set()

    def propose(self, budget_index: int) -> Proposal | None:
        while self.points:
            point = self.points.pop(0)
            spec = self.problem.space.spec_at(point, resolution=32, num_classes=10)
            network = network_hash(spec)
            if network not in self.seen:
                self.seen.add(network)
                return Proposal(spec, network, count_cost(spec), self.problem.space.labels_at(point))
        return None

    def observe(self, job: Job, value: float | None, *, rung: int, val_accuracy: float | None) -> None:
        self.seen.add(job.network)

    def settle(self) -> None:
        pass

    def mark_seen(self, network: str) -> None:
        self.seen.add(network)


def score(accuracy: float) -> ProxyResult:
    return ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=100)


def firsts(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    return [one for one in evaluations if one.job.replicate == 0 and one.job.kind != "rung"]


def width_of(spec: ModelSpec) -> int:
    return spec.stages[0].out_channels


def by_width(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    return score(width_of(spec) / 100)


def budgets_up_to(space: SearchSpace, *points: int) -> tuple[Budget, ...]:
    """Gives budgets that just hold the networks at some points of the space of widths."""
    specs = [space.spec_at((point,), resolution=32, num_classes=10) for point in points]
    return tuple(Budget(multiply_adds=count_cost(spec).multiply_adds) for spec in specs)


def anchor_at(space: SearchSpace, *point: int) -> Anchor:
    spec = space.spec_at(point, resolution=32, num_classes=10)
    return Anchor(name=f"known {point[0]}", phi=0.0, spec=spec)


def as_entry(evaluation: Evaluation) -> LedgerEntry:
    return to_entry(evaluation, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC))


def foreign_anchor(budget: Budget = BUDGET) -> Anchor:
    anchor = make_anchor("mnasnet-a1", budget, resolution=32, num_classes=10)
    assert anchor is not None
    return anchor


# Trials


def test_nothing_outside_the_budget_is_trained_and_nothing_twice(
    small: Problem, settings: SearchSettings
) -> None:
    settings = dataclasses.replace(settings, num_trials=25)
    told: list[Progress] = []
    result, record = run(small, settings, fives, notify=told.append)
    assert (result.num_trials, result.num_failed, result.stopped_by) == (25, 0, "trials")
    for evaluation in record:
        assert evaluation.job.cost == count_cost(evaluation.job.spec)
        assert small.budget.allows(evaluation.job.cost)
    keys = [(evaluation.job.network, evaluation.job.replicate) for evaluation in record]
    assert len(set(keys)) == len(keys)
    assert len({evaluation.job.seed for evaluation in record}) == len(record)
    is_refusing = settings.sampler == "tpe"  # it knows no budget; what it is refused is free of charge
    assert (told[-1].num_refused > 0) == is_refusing


def test_one_seed_gives_the_same_trials_and_another_gives_others(
    small: Problem, settings: SearchSettings
) -> None:
    def jobs(seed: int) -> list[Any]:
        _, record = run(small, dataclasses.replace(settings, num_trials=9, seed=seed), fives)
        return [(one.job.network, one.job.seed, one.job.kind, one.result) for one in record]

    assert jobs(1) == jobs(1)
    assert {job[0] for job in jobs(1)} != {job[0] for job in jobs(2)}


def test_seeds_are_derived_from_run_network_and_replicate(problem: Problem, formula: Evaluator) -> None:
    _, record = run(problem, dataclasses.replace(SETTINGS, seed=9), formula)
    for job in (evaluation.job for evaluation in record):
        assert job.seed == derive_seed(9, job.network, job.replicate)


def test_the_search_is_far_better_than_random(
    problem: Problem, formula: Evaluator, settings: SearchSettings
) -> None:
    """Random networks inside the budget have some 3 of the formula's 8 points, and the search must learn more."""
    num_trials = 50 if settings.sampler == "tpe" else 25
    settings = dataclasses.replace(settings, num_trials=num_trials, num_seeds=1, num_startup=10)
    result, record = run(problem, settings, formula)
    found = [one.result.val_accuracy for one in record if one.result]
    rng = np.random.default_rng(0)
    points = draw_inside(problem.space, BUDGET, 300, resolution=32, num_classes=10, rng=rng, least_share=0.8)
    specs = [problem.space.spec_at(point, resolution=32, num_classes=10) for point in points]
    drawn = [formula(spec, SHORT, 0).val_accuracy for spec in specs]
    assert statistics.fmean(found[-num_trials // 3 :]) > statistics.fmean(drawn) + 0.15
    assert max(found) > np.quantile(drawn, 0.98)
    assert result.best.mean_accuracy > max(found) - 0.02  # belief may prefer the luckless of equals


# Anchors


def test_anchors_are_trained_first_and_by_their_names(problem: Problem, formula: Evaluator) -> None:
    anchors = (anchor_at(problem.space, 2, 0, 1, 0, 1, 0, 1, 0), foreign_anchor())
    result, record = run(dataclasses.replace(problem, anchors=anchors), SETTINGS, formula)
    jobs = [evaluation.job for evaluation in record]
    assert [(job.kind, job.name) for job in jobs[:2]] == [("anchor", anchor.name) for anchor in anchors]
    assert all(job.kind == "trial" for job in jobs[2:12])
    assert result.num_trials == 12  # the anchors among them
    assert {ranked.name for ranked in result.anchors} == {anchor.name for anchor in anchors}


def test_an_anchor_outside_the_space_is_ranked_and_has_no_choices(
    problem: Problem, formula: Evaluator
) -> None:
    inside = anchor_at(problem.space, 2, 0, 1, 0, 1, 0, 1, 0)
    outside = foreign_anchor()
    settings = dataclasses.replace(SETTINGS, num_trials=8)
    result, record = run(dataclasses.replace(problem, anchors=(inside, outside)), settings, formula)
    by_name = {evaluation.job.name: evaluation.job for evaluation in record}
    assert by_name[outside.name].choices == {}
    point = problem.space.point_of(by_name[inside.name].choices)
    found = problem.space.spec_at(point, resolution=32, num_classes=10)
    assert network_hash(found) == network_hash(inside.spec)
    assert outside.name in {ranked.name for ranked in result.anchors}


@pytest.mark.parametrize(("has_prior", "num_before"), [(False, 0), (True, 3)])
def test_anchors_come_after_what_a_screening_likes_best(
    narrow: Problem, has_prior: bool, num_before: int
) -> None:
    anchored = dataclasses.replace(narrow, anchors=(anchor_at(narrow.space, 5),))
    settings = dataclasses.replace(SETTINGS, num_trials=6, num_finalists=3, num_seeds=1)
    proposer = ListProposer(anchored, [(index,) for index in range(6)], has_prior=has_prior)
    _, record = run(anchored, settings, by_width, proposer=proposer)
    assert [one.job.kind for one in record].index("anchor") == num_before
    assert len(record) == 6


def test_anchors_are_trained_even_if_what_was_screened_is_soon_used_up(narrow: Problem) -> None:
    anchored = dataclasses.replace(narrow, anchors=(anchor_at(narrow.space, 4), anchor_at(narrow.space, 5)))
    settings = dataclasses.replace(SETTINGS, num_trials=9, num_finalists=3, num_seeds=1)
    result, record = run(
        anchored, settings, by_width, proposer=ListProposer(anchored, [(0,)], has_prior=True)
    )
    assert [one.job.kind for one in record] == ["trial", "anchor", "anchor"]
    assert result.stopped_by == "exhausted"


def test_an_anchor_is_not_trained_again_as_a_trial(narrow: Problem, settings: SearchSettings) -> None:
    anchors = (anchor_at(narrow.space, 3), anchor_at(narrow.space, 5), anchor_at(narrow.space, 3))
    settings = dataclasses.replace(settings, num_trials=20)
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

    with pytest.raises(
        RunError, match=r"^10 trainings in a row failed; the last: out of memory \(as all of them\)$"
    ):
        search_baseline(
            problem,
            dataclasses.replace(SETTINGS, num_trials=30),
            executor=SerialExecutor(fail),
            proposer=proposer_for(problem, SETTINGS),
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
    small: Problem, settings: SearchSettings
) -> None:
    record: list[Evaluation] = []
    tight = dataclasses.replace(small, budgets=parse_budgets("1k-FLOPs"))
    with pytest.raises(BudgetError, match="fits"):
        search_baseline(
            tight,
            settings,
            executor=SerialExecutor(fives),
            proposer=proposer_for(tight, settings),
            clock=lambda: 0.0,
            record=record.append,
        )
    assert record == []


# Ends


def test_trials_are_counted_over_all_resumes(small: Problem, settings: SearchSettings) -> None:
    anchored = dataclasses.replace(small, anchors=(anchor_at(small.space, 0, 1, 0, 1, 0, 0),))
    _, before = run(anchored, dataclasses.replace(settings, num_trials=5), fives)
    settings = dataclasses.replace(settings, num_trials=12)
    result, after = run(anchored, settings, fives, history=before)
    assert (len(firsts(before)), len(firsts(after)), result.num_trials) == (5, 7, 12)
    keys = [(one.job.network, one.job.replicate) for one in before + after]
    assert len(set(keys)) == len(keys)
    again, nothing = run(anchored, settings, fives, history=before + after)
    assert nothing == []
    assert {one.network for one in again.finalists} == {one.network for one in result.finalists}
    assert again.best.belief == pytest.approx(result.best.belief, abs=0.02)


def test_a_run_cut_short_owes_its_confirmations(problem: Problem, formula: Evaluator) -> None:
    whole, record = run(problem, SETTINGS, formula)
    cut = [one for one in record if one.job.kind == "trial"] + record[-1:]
    result, rest = run(problem, SETTINGS, formula, history=cut)
    assert [one.job.network for one in rest] == [record[-2].job.network]
    assert result.best.network == whole.best.network


@pytest.mark.parametrize("num_rungs", [1, 3])
@pytest.mark.parametrize("place", ["finalist", "anchor", "every one"])
def test_a_first_training_that_the_record_has_lost_is_given_again(
    small: Problem, settings: SearchSettings, place: str, num_rungs: int
) -> None:
    """As after effsearch repair has put aside a damaged line of the ledger."""
    rungs = (SHORT, MIDDLE, LONG)[:num_rungs]
    known = dataclasses.replace(small, anchors=(anchor_at(small.space, 0, 1, 0, 1, 0, 0),), rungs=rungs)
    whole, record = run(known, settings, fives)
    later = {one.job.network for one in record if one.job.kind in ("confirm", "rung")}
    (anchor,) = {one.job.network for one in record if one.job.kind == "anchor"}
    lost = {
        "finalist": {whole.best.network} - {anchor} or later - {anchor},
        "anchor": {anchor},
        "every one": later,
    }[place]
    assert lost <= later
    kept = [one for one in record if one.job.network not in lost or one.job.kind not in ("trial", "anchor")]
    assert len(kept) == len(record) - len(lost)
    result, again = run(known, settings, fives, history=kept)
    given = [one for one in again if one.job.network in lost]
    assert {
        (one.job.network, one.job.kind, one.job.fidelity, one.job.seed, one.job.name) for one in given
    } == {
        (one.job.network, one.job.kind, one.job.fidelity, one.job.seed, one.job.name)
        for one in record
        if one.job.network in lost and one.job.kind in ("trial", "anchor")
    }
    assert len(given) == len(lost)
    keys = [(one.job.network, one.job.replicate, one.job.fidelity) for one in kept + again]
    assert len(set(keys)) == len(keys)
    assert result.num_trials == whole.num_trials


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


def test_an_exhausted_space_ends_the_run_and_says_so(narrow: Problem, settings: SearchSettings) -> None:
    result, record = run(narrow, dataclasses.replace(settings, num_trials=50), lambda *_: score(0.5))
    assert (result.stopped_by, result.num_trials) == ("exhausted", 6)
    assert len({one.job.network for one in record}) == 6


def test_an_exhausted_budget_ends_the_run_too(narrow: Problem, settings: SearchSettings) -> None:
    tight = dataclasses.replace(narrow, budgets=budgets_up_to(narrow.space, 3))
    result, _ = run(tight, dataclasses.replace(settings, num_trials=50), lambda *_: score(0.5))
    assert (result.stopped_by, result.num_trials) == ("exhausted", 4)


def timed(
    problem: Problem, settings: SearchSettings, executor: Any, **values: Any
) -> tuple[BaselineResult, list[Evaluation]]:
    record: list[Evaluation] = []
    result = search_baseline(
        problem,
        settings,
        executor=executor,
        proposer=proposer_for(problem, settings),
        clock=executor.clock,
        record=record.append,
        **values,
    )
    return result, record


def test_minutes_bound_the_whole_call_confirmation_included(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    """Ten minutes at 30 s each, four of them set aside: trials start up to 330 s, confirmations up to 570 s."""
    settings = SearchSettings(num_trials=None, minutes=10, sampler="random", num_finalists=5, num_seeds=3)
    executor = fake_executor(formula, seconds=30.0)
    result, record = timed(problem, settings, executor)
    assert result.stopped_by == "minutes"
    assert (result.num_trials, len(record)) == (12, 20)
    assert result.num_owed == 2  # of the ten fresh-seed trainings of five finalists
    assert len(result.finalists) == 5, "one without its seeds is still one of them"
    assert executor.now == 600.0


def test_time_is_set_aside_only_for_what_is_owed(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    """Two finalists once more on two workers are one round of 33 s: trials start up to 537 s."""
    settings = SearchSettings(num_trials=None, minutes=10, sampler="random", num_finalists=2, num_seeds=2)
    executor = fake_executor(formula, seconds=30.0, num_slots=2)
    result, record = timed(problem, settings, executor)
    assert (result.num_trials, len(record)) == (36, 38)
    assert executor.now == 570.0


def test_the_first_network_is_trained_however_short_the_time(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    settings = SearchSettings(num_trials=None, minutes=0.1, sampler="random")
    executor = fake_executor(formula, seconds=30.0)
    result, record = timed(problem, settings, executor, expected_seconds=30.0)
    assert (result.stopped_by, len(record)) == ("minutes", 1)
    assert result.best.seeds == (record[0].job.seed,)


def test_whichever_of_trials_and_minutes_comes_first_ends_the_run(
    problem: Problem, formula: Evaluator, fake_executor: Any
) -> None:
    settings = SearchSettings(num_trials=3, minutes=10, sampler="random", num_finalists=1, num_seeds=1)
    result, record = timed(problem, settings, fake_executor(formula, seconds=30.0))
    assert (result.stopped_by, len(record)) == ("trials", 3)


def test_many_workers_train_no_network_twice(
    small: Problem, fake_executor: Any, settings: SearchSettings
) -> None:
    executor = fake_executor(fives, seconds=1.0, num_slots=4)
    result, record = timed(small, dataclasses.replace(settings, num_trials=20), executor)
    assert executor.most_running == 4
    assert result.num_trials == len({one.job.network for one in firsts(record)}) == 20


# Confirmation


def test_the_winner_has_the_best_mean_over_fresh_seeds(narrow: Problem) -> None:
    """The width of 16 is lucky at its first training and poor afterwards."""
    trained: collections.Counter[int] = collections.Counter()

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        channels = spec.stages[0].out_channels
        trained[channels] += 1
        return score((0.9 if trained[channels] == 1 else 0.3) if channels == 16 else channels / 100)

    settings = SearchSettings(num_trials=6, minutes=None, sampler="tpe", num_finalists=3, num_seeds=3)
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

    settings = SearchSettings(num_trials=6, minutes=None, sampler="tpe", num_finalists=3, num_seeds=3)
    result, _ = run(narrow, settings, evaluate)
    assert result.best.spec.stages[0].out_channels == 48
    assert result.best.mean_accuracy == pytest.approx(0.48)
    assert [one.spec.stages[0].out_channels for one in result.finalists] == [48, 40, 16]


def test_anchors_are_confirmed_even_when_they_are_no_finalists(narrow: Problem) -> None:
    anchored = dataclasses.replace(narrow, anchors=(anchor_at(narrow.space, 0),))
    settings = SearchSettings(num_trials=6, minutes=None, sampler="tpe", num_finalists=2, num_seeds=3)
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

    settings = SearchSettings(num_trials=6, minutes=None, sampler="tpe", num_finalists=2, num_seeds=2)
    result, record = run(narrow, settings, evaluate)
    assert result.best.spec.stages[0].out_channels == 40
    assert record[-2].failure == "the loss is not a number"
    assert result.num_failed == 0  # of the networks' first trainings


def test_one_seed_means_no_confirmation(narrow: Problem) -> None:
    settings = SearchSettings(num_trials=4, minutes=None, sampler="tpe", num_seeds=1)
    _, record = run(narrow, settings, lambda *_: score(0.5))
    assert [one.job.kind for one in record] == ["trial"] * 4


def test_watchers_hear_of_every_training(narrow: Problem) -> None:
    told: list[Progress] = []
    settings = SearchSettings(num_trials=4, minutes=None, sampler="tpe", num_finalists=2, num_seeds=2)
    run(narrow, settings, lambda spec, *_: score(spec.stages[0].out_channels / 100), notify=told.append)
    assert [(one.phase, one.num_done) for one in told] == [
        *(("trials", count) for count in (1, 2, 3, 4)),
        *(("confirm", count) for count in (1, 2)),
    ]
    assert told[-1].best is not None
    assert told[-1].best.job.spec.stages[0].out_channels == max(
        one.last.job.spec.stages[0].out_channels for one in told if one.last
    )


# Belief


def test_the_winner_is_the_one_that_is_believed_to_be_best(narrow: Problem) -> None:
    """The model may hold a network for lucky that has the best mean of its own."""
    points = [(index,) for index in range(6)]

    def belief(job: Job) -> float:
        return {48: 0.2, 40: 0.6}.get(width_of(job.spec), 0.5)

    settings = dataclasses.replace(SETTINGS, num_trials=6, num_finalists=3)
    result, record = run(narrow, settings, by_width, proposer=ListProposer(narrow, points, belief=belief))
    assert (width_of(result.best.spec), result.best.belief, result.best.mean_accuracy) == (40, 0.6, 0.4)
    confirmed = {width_of(one.job.spec) for one in record if one.job.kind == "confirm"}
    assert confirmed == {40, 8, 16}  # the first of those believed to be equal


def test_our_model_believes_in_the_best_of_many_trainings(narrow: Problem) -> None:
    settings = dataclasses.replace(SETTINGS, sampler="thompson", num_trials=6, num_finalists=3, num_seeds=3)
    result, _ = run(narrow, settings, by_width)
    assert width_of(result.best.spec) == 48
    assert result.best.belief == pytest.approx(0.48, abs=0.02)


# Several budgets


def test_each_budget_has_a_winner_inside_it(narrow: Problem, settings: SearchSettings) -> None:
    budgets = budgets_up_to(narrow.space, 1, 3, 5)
    settings = dataclasses.replace(settings, num_trials=6, num_finalists=1)
    result, record = run(dataclasses.replace(narrow, budgets=budgets), settings, by_width)
    assert [width_of(winner.spec) for winner in result.winners] == [16, 32, 48]
    assert result.best == result.winners[-1]
    confirmed = {width_of(one.job.spec) for one in record if one.job.kind == "confirm"}
    assert confirmed == {16, 32, 48}  # one finalist for each


def test_budgets_take_turns(small: Problem, settings: SearchSettings) -> None:
    budgets = parse_budgets("300k,450k-FLOPs")
    settings = dataclasses.replace(settings, num_trials=8)
    result, record = run(dataclasses.replace(small, budgets=budgets), settings, fives)
    costs = [one.job.cost for one in firsts(record)]
    assert all(budgets[0].allows(cost) for cost in costs[::2])
    assert not all(budgets[0].allows(cost) for cost in costs[1::2])
    assert all(budget.allows(winner.cost) for winner, budget in zip(result.winners, budgets, strict=True))


def test_a_narrow_budget_that_is_used_up_does_not_end_the_search_of_a_wider_one(
    narrow: Problem, settings: SearchSettings
) -> None:
    budgets = budgets_up_to(narrow.space, 0, 5)
    settings = dataclasses.replace(settings, num_trials=50)
    result, _ = run(dataclasses.replace(narrow, budgets=budgets), settings, by_width)
    assert (result.stopped_by, result.num_trials) == ("exhausted", 6)


# Two objectives


@pytest.mark.parametrize("second", ["multiply_adds", "parameters", "latency"])
def test_two_objectives_are_searched_inside_the_budget(
    narrow: Problem, settings: SearchSettings, second: Any
) -> None:
    settings = dataclasses.replace(settings, num_trials=6, num_startup=2, second_objective=second)
    result, _ = run(narrow, settings, by_width)
    assert result.num_trials == len(result.ranked) == 6
    assert width_of(result.best.spec) == 48


# Rungs


@pytest.fixture
def ladder(problem: Problem) -> Problem:
    return dataclasses.replace(problem, rungs=(SHORT, MIDDLE, LONG))


@pytest.fixture
def points(macro: SearchSpace) -> list[Point]:
    rng = np.random.default_rng(0)
    rows = draw_inside(macro, BUDGET, 40, resolution=32, num_classes=10, rng=rng)
    return [tuple(point) for point in rows.tolist()]


def by_length(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Scores rise with the length of the training, more than networks differ."""
    parameters = count_cost(spec).parameters / 100e6
    return score(parameters + 0.2 * (SHORT, MIDDLE, LONG).index(fidelity) + (seed % 97) / 97 / 20)


def trained_at(record: Sequence[Evaluation], fidelity: Fidelity) -> list[str]:
    return [one.job.network for one in record if one.job.fidelity == fidelity and not one.job.replicate]


@pytest.mark.parametrize("num_slots", [1, 4])
def test_only_the_better_third_is_promoted_and_each_once(
    ladder: Problem, points: list[Point], fake_executor: Any, num_slots: int
) -> None:
    settings = dataclasses.replace(SETTINGS, num_trials=18, num_finalists=1, num_seeds=1)
    executor = fake_executor(by_length, seconds=1.0, num_slots=num_slots)
    result, record = run(
        ladder, settings, by_length, proposer=ListProposer(ladder, points), executor=executor
    )
    trained = [trained_at(record, rung) for rung in ladder.rungs]
    assert [len(networks) for networks in trained] == [len(set(networks)) for networks in trained]
    assert len(trained[0]) == result.num_trials == 18  # promotions are no trials
    assert (len(trained[1]), len(trained[2])) == (6, 2)
    assert result.num_promoted == 6  # networks; two of them twice
    for below, above in ((0, 1), (1, 2)):
        assert set(trained[above]) <= set(trained[below])
    for index, one in enumerate(record):
        if one.job.kind == "rung" and one.job.fidelity == MIDDLE and num_slots == 1:
            before = {
                other.job.network: other.result.val_accuracy
                for other in record[:index]
                if other.job.fidelity == SHORT and other.result
            }
            num_better = sum(value > before[one.job.network] for value in before.values())
            assert num_better < len(before) // 3


def test_a_network_that_trained_with_half_the_batch_counts_and_is_promoted_with_all_of_it(
    ladder: Problem, points: list[Point]
) -> None:
    settings = dataclasses.replace(SETTINGS, num_trials=3, num_finalists=1, num_seeds=2)
    _, before = run(ladder, settings, by_length, proposer=ListProposer(ladder, points))
    firsts_alone = [one for one in before if one.job.kind == "trial"]
    halved = [
        dataclasses.replace(one, job=dataclasses.replace(one.job, batch_share=0.5)) for one in firsts_alone
    ]
    stored = [from_entry(as_entry(one)) for one in halved]
    assert [one.job.batch_share for one in stored] == [0.5] * 3
    result, after = run(ladder, settings, by_length, history=stored, proposer=ListProposer(ladder, points))
    assert result.num_trials == 3
    assert [one.job for one in after] == [one.job for one in before if one.job.kind != "trial"]
    assert after
    assert {one.job.batch_share for one in after} == {1.0}


def test_promotions_that_are_due_after_the_last_trial_are_made(ladder: Problem, points: list[Point]) -> None:
    settings = dataclasses.replace(SETTINGS, num_trials=3, num_finalists=1, num_seeds=1)
    result, record = run(ladder, settings, by_length, proposer=ListProposer(ladder, points))
    assert [one.job.kind for one in record[:4]] == ["trial", "trial", "trial", "rung"]
    assert result.stopped_by == "trials"


def test_finalists_are_confirmed_at_the_top_rung_however_far_they_had_come(
    ladder: Problem, points: list[Point]
) -> None:
    settings = dataclasses.replace(SETTINGS, num_trials=6, num_finalists=3, num_seeds=2)
    result, record = run(ladder, settings, by_length, proposer=ListProposer(ladder, points))
    assert [(one.rung, len(one.seeds)) for one in result.finalists] == [(2, 2)] * 3
    assert {one.job.fidelity for one in record if one.job.kind == "confirm"} == {LONG}
    assert len(set(trained_at(record, LONG))) == 3
    assert result.best.network in trained_at(record, LONG)
    for one in result.finalists:
        assert one.seeds == tuple(derive_seed(0, one.network, replicate) for replicate in (0, 1))


def test_a_network_that_fails_on_a_rung_goes_no_further(ladder: Problem, points: list[Point]) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if fidelity == MIDDLE:
            raise TrainingFailed("out of memory")
        return by_length(spec, fidelity, seed)

    settings = dataclasses.replace(SETTINGS, num_trials=9, num_finalists=1, num_seeds=1)
    result, record = run(ladder, settings, evaluate, proposer=ListProposer(ladder, points))
    failed = trained_at(record, MIDDLE)
    assert len(failed) == len(set(failed)) == result.num_failed >= 3
    assert len(trained_at(record, LONG)) == 1  # the finalist, at the confirmation


@pytest.mark.parametrize("num_kept", [0, 1, 3, 4, 7, 10, 13, 15, 16, 17, 18])
def test_a_run_with_rungs_that_is_cut_anywhere_ends_as_if_it_had_not_been(
    ladder: Problem, points: list[Point], num_kept: int
) -> None:
    anchored = dataclasses.replace(ladder, anchors=(anchor_at(ladder.space, *points[30]), foreign_anchor()))
    settings = dataclasses.replace(SETTINGS, num_trials=9)
    whole, record = run(anchored, settings, by_length, proposer=ListProposer(anchored, points))
    result, rest = run(
        anchored,
        settings,
        by_length,
        proposer=ListProposer(anchored, points),
        history=record[:num_kept],
    )
    assert len(record) >= num_kept

    def keys(evaluations: Sequence[Evaluation]) -> list[Any]:
        return [(one.job, one.result) for one in evaluations]

    assert keys(record[:num_kept] + rest) == keys(record)
    assert result == whole


def test_both_samplers_climb_the_ladder(small: Problem, settings: SearchSettings) -> None:
    settings = dataclasses.replace(settings, num_trials=12)
    ladder = dataclasses.replace(small, rungs=(SHORT, MIDDLE, LONG))
    result, record = run(ladder, settings, fives)
    assert (result.num_trials, len(trained_at(record, SHORT))) == (12, 12)
    assert result.num_promoted >= 4
    assert [(one.rung, len(one.seeds)) for one in result.finalists] == [(2, 2)] * 2
    keys = [(one.job.network, one.job.fidelity, one.job.replicate) for one in record]
    assert len(set(keys)) == len(keys)


class TimedByLength:
    """Trains on a clock of its own, which a training moves by what it costs."""

    num_slots = 1

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: list[Job] = []

    @property
    def num_running(self) -> int:
        return len(self.jobs)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self) -> Evaluation:
        job = self.jobs.pop()
        seconds = job.fidelity.num_images * job.fidelity.num_epochs / 10
        self.now += seconds
        return Evaluation(job=job, result=by_length(job.spec, job.fidelity, job.seed), seconds=seconds)

    def clock(self) -> float:
        return self.now


def test_long_trainings_are_not_started_where_they_would_end_too_late(ladder: Problem) -> None:
    """Ten, thirty and ninety seconds: of ten minutes four are set aside, for two finalists twice."""
    settings = dataclasses.replace(SETTINGS, num_trials=None, minutes=10, sampler="random")
    executor = TimedByLength()
    result, record = timed(ladder, settings, executor)
    assert result.stopped_by == "minutes"
    assert 0 < len(trained_at(record, MIDDLE)) < len(trained_at(record, SHORT))
    confirmations = [one for one in record if one.job.kind == "confirm"]
    assert 510 < executor.now <= 600
    assert len(confirmations) + len(trained_at(record, LONG)) >= 2


def test_an_anchor_at_another_resolution_climbs_at_its_own(ladder: Problem, points: list[Point]) -> None:
    anchor = anchor_at(ladder.space, *points[30])
    larger = dataclasses.replace(anchor, spec=dataclasses.replace(anchor.spec, resolution=48))
    settings = dataclasses.replace(SETTINGS, num_trials=3, num_seeds=1)
    anchored = dataclasses.replace(ladder, anchors=(larger,))
    result, record = run(anchored, settings, lambda *_: score(0.5), proposer=ListProposer(anchored, points))
    own = [one.job.fidelity for one in record if one.job.name == larger.name]
    assert own[0] == dataclasses.replace(SHORT, resolution=48)
    assert own[-1] == dataclasses.replace(LONG, resolution=48)
    assert [one.rung for one in result.anchors] == [2]


# Objective


def test_the_reward_prefers_the_cheaper_of_equally_accurate_networks(narrow: Problem) -> None:
    settings = SearchSettings(num_trials=6, minutes=None, sampler="tpe", num_seeds=1, objective="reward")
    result, _ = run(narrow, settings, lambda *_: score(0.5))
    assert result.best.spec.stages[0].out_channels == 8
    share = result.best.cost.multiply_adds / 10**9
    assert result.best.mean_score == pytest.approx(0.5 * share**-0.07)
    assert result.best.mean_accuracy == 0.5


def test_the_rewards_exponent_may_be_set(narrow: Problem) -> None:
    settings = SearchSettings(
        num_trials=6, minutes=None, sampler="tpe", num_seeds=1, objective="reward", reward_exponent=0.5
    )
    result, _ = run(narrow, settings, lambda *_: score(0.5))
    assert result.best.spec.stages[0].out_channels == 48


def by_time(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Equal accuracies; the dearer, the slower, and every seed a little slower or faster."""
    seconds = count_cost(spec).multiply_adds * fidelity.num_images * (1 + (seed % 97) / 97_000)
    return dataclasses.replace(score(0.5), train_seconds=seconds)


def test_the_reward_may_weigh_the_step_time_that_was_measured(narrow: Problem) -> None:
    settings = dataclasses.replace(V2_SETTINGS, num_seeds=1)
    result, record = run(narrow, settings, by_time)
    assert result.best.spec.stages[0].out_channels == 8
    own = next(one.result for one in record if one.job.network == result.best.network)
    assert record[0].result is not None
    assert own is not None
    share = own.train_seconds / record[0].result.train_seconds
    millions = result.best.cost.parameters / 1e6
    assert result.best.mean_score == pytest.approx(0.5 * share**-0.07 * millions**-0.05)


def test_a_reward_without_flops_needs_no_budget_in_flops(narrow: Problem) -> None:
    in_params = dataclasses.replace(narrow, budgets=(parse_budget("5M-params"),))
    result, _ = run(in_params, V2_SETTINGS, by_time)
    assert result.best.spec.stages[0].out_channels == 8


@pytest.mark.parametrize("sampler", ["thompson", "tpe"])
def test_a_search_that_goes_on_comes_to_the_same_step_times(
    ladder: Problem, points: list[Point], sampler: Any
) -> None:
    """The first training of each rung is the reference before and after; more trainings change no score."""
    anchor = anchor_at(ladder.space, *points[30])
    other_size = dataclasses.replace(anchor, spec=dataclasses.replace(anchor.spec, resolution=48))
    anchored = dataclasses.replace(ladder, anchors=(other_size,))
    settings = dataclasses.replace(V2_SETTINGS, sampler=sampler, num_trials=5)
    _, record = run(anchored, settings, by_time)
    assert {one.job.fidelity.num_images for one in record} > {100}

    def scores(evaluations: Sequence[Evaluation], num_known: int) -> list[float]:
        valuation = Valuation(anchored, settings, evaluations[:num_known])
        for evaluation in evaluations[num_known:]:
            valuation.note(evaluation)
        return [valuation.score(one) for one in evaluations]

    again = [from_entry(as_entry(one)) for one in record]
    whole = scores(record, 0)
    for num_known in (1, 3, len(record)):
        assert scores(again, num_known) == whole
    result, more = run(anchored, settings, by_time, history=again)
    assert more == []
    assert statistics.fmean(result.best.accuracies) == 0.5
    first, _ = run(anchored, settings, by_time)
    assert [one.mean_score for one in result.ranked] == [one.mean_score for one in first.ranked]


def test_each_rung_has_a_reference_of_its_own(ladder: Problem) -> None:
    _, record = run(ladder, V2_SETTINGS, by_time)
    valuation = Valuation(ladder, V2_SETTINGS, record)
    for rung in ladder.rungs:
        own = [one for one in record if one.job.fidelity == rung]
        assert valuation.score(own[0]) == 0.5 * (own[0].job.cost.parameters / 1e6) ** -0.05


def test_a_training_without_a_time_cannot_be_weighed(narrow: Problem) -> None:
    with pytest.raises(
        RunError, match=r"100 images is recorded with no time, .* leave out --step-time-exponent"
    ):
        run(narrow, V2_SETTINGS, lambda *_: score(0.5))


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
        ({"reduction": 1}, "--reduction must be at least 2, got 1"),
        ({"reward_exponent": 11.0}, "--reward-exponent must be from -10 to 10, got 11"),
        ({"step_time_exponent": float("nan")}, "--step-time-exponent must be from -10 to 10, got nan"),
        ({"parameters_exponent": -11.0}, "--params-exponent must be from -10 to 10, got -11"),
        ({"step_time_exponent": -0.07}, "weigh the reward: give --objective reward"),
        ({"parameters_exponent": -0.05}, "weigh the reward: give --objective reward"),
    ],
)
def test_settings_that_make_no_search_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(SETTINGS, **changes)


def fives_of(spec: ModelSpec) -> int:
    return [block.kernel_size for stage in spec.stages for block in stage.blocks].count(5)


def test_what_does_not_keep_to_what_was_predicted_is_neither_confirmed_nor_the_winner(
    small: Problem, settings: SearchSettings
) -> None:
    """Every five makes a network better, and too slow: what wins has none."""
    asked: list[ModelSpec] = []

    def keeps(spec: ModelSpec) -> bool:
        asked.append(spec)
        return fives_of(spec) == 0

    result, record = run(small, settings, fives, keeps=keeps)
    assert fives_of(result.best.spec) == 0
    assert any(fives_of(one.job.spec) for one in record)
    confirmed = [one for one in record if one.job.kind == "confirm"]
    assert confirmed
    assert not any(fives_of(one.job.spec) for one in confirmed)
    assert len(asked) < 3 * len(record)


def test_where_nothing_keeps_there_is_a_winner_all_the_same(small: Problem, settings: SearchSettings) -> None:
    result, record = run(small, settings, fives, keeps=lambda spec: False)
    assert result.best.belief == max(one.belief for one in result.ranked if one.rung == result.best.rung)
    assert not any(one.job.kind == "confirm" for one in record)


@pytest.mark.parametrize(
    "sampler",
    ["thompson", "tpe", "random", "nsga2", "evolution", pytest.param("gp", marks=pytest.mark.slow)],
)
def test_every_sampler_keeps_to_a_bound_on_latency(
    small: Problem, sampler: Any, make_table: Callable[..., LatencyTable]
) -> None:
    table = make_table(small.space)
    costs = small.costs(sample_points(small.space, 2_000, rng=np.random.default_rng(0)))
    assert costs.latency_nanoseconds is None
    timed = screen(
        small.space,
        sample_points(small.space, 2_000, rng=np.random.default_rng(0)),
        resolution=32,
        num_classes=10,
        table=table,
    )
    assert timed.latency_nanoseconds is not None
    limit = int(np.quantile(timed.latency_nanoseconds, 0.3))
    bound = dataclasses.replace(small, budgets=(Budget(latency_nanoseconds=limit, latency_table=table),))
    _, record = run(bound, dataclasses.replace(SETTINGS, sampler=sampler), fives)
    assert len({one.job.network for one in record}) >= 12
    for one in record:
        assert one.job.cost.latency_nanoseconds == table.predict(one.job.spec) <= limit


def test_a_front_of_latencies_is_sought_by_predictions_where_there_is_a_table(
    small: Problem, make_table: Callable[..., LatencyTable]
) -> None:
    table = make_table(small.space)
    bound = dataclasses.replace(small, budgets=(Budget(latency_nanoseconds=10**9, latency_table=table),))
    settings = dataclasses.replace(SETTINGS, second_objective="latency")
    spec = small.space.spec_at([0] * len(small.space.dimensions), resolution=32, num_classes=10)
    assert small.front_measure(settings) == "multiply_adds"
    assert second_value(small.count(spec), settings) == count_cost(spec).multiply_adds
    assert bound.front_measure(settings) == "latency_nanoseconds"
    assert second_value(bound.count(spec), settings) == table.predict(spec)
    assert bound.front_measure(SETTINGS) is None
