import pickle
import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from effsearch.search import ThompsonSampler
from effsearch.search.model.engine import ThompsonEngine
from effsearch.space.errors import BudgetError

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAMES = [f"layer{index}" for index in range(6)]
SPACE = {name: CategoricalDistribution((0, 1, 2)) for name in NAMES}
WANTED = np.asarray([2, 1, 2, 0, 1, 0])


def score(points: np.ndarray) -> np.ndarray:
    """Six at `WANTED`, less by one for each other choice."""
    return np.asarray((points == WANTED).sum(axis=1), dtype=float)


def total(points: np.ndarray) -> np.ndarray:
    return points.sum(axis=1).astype(float)


def engine(**extra: Any) -> ThompsonEngine:
    return ThompsonEngine([3] * 6, [None] * 6, costs=total, **({"budgets": 7.0, "seed": 0} | extra))


def run(searcher: ThompsonEngine, number: int, *, seed: int = 0) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    points = []
    for _ in range(number):
        point = searcher.propose()
        assert point is not None
        points.append(point)
        searcher.tell(point, float(score(np.asarray([point]))[0]) + rng.normal() * 0.1)
    return points


def suggest(trial: optuna.Trial) -> np.ndarray:
    return np.asarray([[trial.suggest_categorical(name, (0, 1, 2)) for name in NAMES]])


def objective(trial: optuna.Trial) -> float:
    return float(score(suggest(trial))[0])


def cost(parameters: dict[str, Any]) -> float:
    return float(sum(parameters[name] for name in NAMES))


def study_with(sampler: ThompsonSampler, direction: str = "maximize") -> optuna.Study:
    return optuna.create_study(direction=direction, sampler=sampler)


# The engine


def test_every_proposal_is_new_and_inside_and_the_best_is_found() -> None:
    searcher = engine()
    points = run(searcher, 25)
    assert len(set(points)) == 25
    assert max(map(sum, points)) <= 7
    assert tuple(WANTED.tolist()) in points
    mean, _ = searcher.posterior(np.asarray(points))
    assert points[int(np.argmax(mean))] == tuple(WANTED.tolist())


def test_a_seed_decides_the_search() -> None:
    assert run(engine(), 10) == run(engine(), 10) != run(engine(seed=1), 10)


def test_start_up_is_spread_over_the_upper_part_of_the_budget() -> None:
    points = run(engine(num_startup=8), 8)
    assert min(map(sum, points)) >= 0.8 * 7
    gaps = [
        sum(one != other for one, other in zip(a, b, strict=True)) for a in points for b in points if a != b
    ]
    assert min(gaps) >= 3


def test_two_points_of_one_form_are_never_both_proposed() -> None:
    points = run(engine(canonical=lambda point: tuple(sorted(point))), 12)
    assert len({tuple(sorted(point)) for point in points}) == 12


def test_scores_of_one_form_are_scores_of_one_point() -> None:
    searcher = engine(canonical=lambda point: tuple(sorted(point)))
    searcher.tell((0, 0, 0, 0, 1, 2), 1.0)
    searcher.tell((2, 1, 0, 0, 0, 0), 2.0)
    assert searcher.surrogate().seen.counts.tolist() == [2.0]


def test_a_pending_point_is_not_proposed_and_a_failed_one_not_again() -> None:
    searcher = ThompsonEngine([2, 2], [None, None], seed=0, num_startup=1)
    searcher.tell((0, 0), 1.0)
    searcher.mark_pending((0, 1))
    searcher.tell((1, 0), None)
    assert searcher.propose() == (1, 1)
    searcher.mark_pending((1, 1))
    assert searcher.propose() is None
    searcher.forget_pending()
    assert searcher.propose() in {(0, 1), (1, 1)}


def test_an_exhausted_space_is_said_to_be_so_and_its_best_repeated() -> None:
    searcher = ThompsonEngine([2, 2], [None, None], costs=total, budgets=1.0, seed=0)
    for _ in range(3):
        point = searcher.propose()
        assert point is not None
        searcher.tell(point, 5.0 * point[0] - point[1])
    assert searcher.propose() is None
    repeats = [searcher.repeat() for _ in range(10)]
    assert repeats.count((1, 0)) > 5


def test_several_budgets_are_served_in_turn() -> None:
    searcher = engine(budgets=(4.0, 9.0))
    points = run(searcher, 16)
    assert max(sum(point) for point in points[::2]) <= 4
    assert 7 < max(sum(point) for point in points[1::2]) <= 9
    point = searcher.propose(budget_index=0)
    assert point is not None
    assert sum(point) <= 4


def test_candidates_bound_the_choice() -> None:
    searcher = engine()
    some = np.asarray([[2, 1, 2, 0, 1, 0], [0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2]])
    assert searcher.propose(candidates=some) in {tuple(some[0].tolist()), tuple(some[1].tolist())}
    run(searcher, 12)
    fresh = np.asarray([[2, 2, 2, 2, 2, 2], [1, 1, 1, 1, 1, 2]])
    searcher.tell((1, 1, 1, 1, 1, 2), None)
    assert searcher.propose(candidates=fresh) is None


def test_a_budget_that_nothing_fits_is_named() -> None:
    with pytest.raises(BudgetError, match="no point of the space fits a budget of -1"):
        engine(budgets=-1.0).propose()


def test_a_large_space_is_searched_inside_the_budget_too() -> None:
    wanted = np.random.default_rng(7).integers(3, size=30)
    searcher = ThompsonEngine([3] * 30, [None] * 30, costs=total, budgets=33.0, seed=0)
    best, random = 0.0, 0.0
    for index in range(40):
        point = searcher.propose()
        assert point is not None
        assert sum(point) <= 33
        value = float((np.asarray(point) == wanted).sum())
        searcher.tell(point, value)
        best, random = max(best, value), max(random, value) if index < 6 else random
    assert best >= random + 7


def test_rungs_are_told_apart() -> None:
    searcher = engine()
    for point in run(engine(), 12):
        searcher.tell(point, 10 + score(np.asarray([point]))[0], rung=0)
    searcher.tell(tuple(WANTED.tolist()), 106.0, rung=1)
    mean, _ = searcher.posterior(np.asarray([WANTED]))
    assert mean[0] == pytest.approx(106, abs=2)


# The sampler


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_choices_are_found_in_either_direction(direction: str) -> None:
    study = study_with(ThompsonSampler(seed=0), direction)
    sign = 1 if direction == "maximize" else -1
    study.optimize(lambda trial: sign * objective(trial), n_trials=30)
    assert study.best_value == sign * 6


def test_even_the_first_trial_is_inside_the_budget() -> None:
    for space in (None, SPACE):
        study = study_with(ThompsonSampler(seed=0, cost=cost, budget=5, space=space))
        study.optimize(objective, n_trials=12)
        costs = [cost(trial.params) for trial in study.trials]
        assert max(costs) <= 5
        assert len({tuple(trial.params.values()) for trial in study.trials}) == 12
        assert (costs[0] == 0) == (space is None)


def test_features_are_read_off_the_parameters() -> None:
    study = study_with(ThompsonSampler(seed=0, space=SPACE, features=lambda one: [cost(one)]))
    study.optimize(lambda trial: float(suggest(trial).sum()), n_trials=10)
    assert study.best_value == 12


def test_a_constraint_is_learned() -> None:
    def constrained(trial: optuna.Trial) -> float:
        value = float(suggest(trial).sum())
        trial.set_constraint("at most five", value - 5)
        return value

    study = study_with(ThompsonSampler(seed=0, space=SPACE))
    study.optimize(constrained, n_trials=30)
    later = study.trials[15:]
    assert study.best_value == 5
    assert sum(trial.constraints["at most five"] <= 0 for trial in later) >= 10


@pytest.mark.parametrize("has_cost", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_objectives_give_a_front(has_cost: bool) -> None:
    def both(trial: optuna.Trial) -> tuple[float, float]:
        points = suggest(trial)
        return float((points.sum(axis=1) + 2 * (points[:, 0] == 2))[0]), float(total(points)[0])

    sampler = ThompsonSampler(seed=0, space=SPACE, cost=cost if has_cost else None)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(both, n_trials=30)
    front = {tuple(trial.values) for trial in study.best_trials}
    best = {(float(number + 2), float(number)) for number in range(2, 13)}
    assert len(front & best) >= 6


def test_three_objectives_are_weighed() -> None:
    study = optuna.create_study(directions=["maximize"] * 3, sampler=ThompsonSampler(seed=0, space=SPACE))
    study.optimize(lambda trial: tuple(suggest(trial)[0, :3].astype(float)), n_trials=20)
    assert [2.0, 2.0, 2.0] in [trial.values for trial in study.best_trials]


def test_failed_and_pruned_trials_are_not_tried_again() -> None:
    def sometimes(trial: optuna.Trial) -> float:
        points = suggest(trial)
        if trial.number % 5 == 1:
            raise optuna.TrialPruned
        if trial.number % 5 == 2:
            trial.report(float("nan") if trial.number == 2 else -1.0, 1)
            raise optuna.TrialPruned
        if trial.number % 5 == 3:
            raise ArithmeticError
        return float(score(points)[0])

    study = study_with(ThompsonSampler(seed=0, space=SPACE))
    study.optimize(sometimes, n_trials=25, catch=ArithmeticError)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 25


def test_parallel_workers_try_different_points() -> None:
    study = study_with(ThompsonSampler(seed=0, space=SPACE))
    study.optimize(objective, n_trials=8)
    asked = [study.ask(dict(SPACE)) for _ in range(10)]
    assert len({tuple(trial.params.values()) for trial in [*study.trials[:8], *asked]}) == 18
    for trial in asked:
        study.tell(trial, 1.0)
    study.optimize(objective, n_trials=8, n_jobs=2)
    assert len(study.trials) == 26


def test_an_exhausted_space_repeats_its_best() -> None:
    study = study_with(ThompsonSampler(seed=0))
    rng = np.random.default_rng(0)
    study.optimize(lambda trial: trial.suggest_int("a", 0, 3) + rng.normal() / 10, n_trials=16)
    values = [trial.params["a"] for trial in study.trials]
    assert set(values[:6]) == {0, 1, 2, 3}
    assert values[8:].count(3) >= 6


def test_one_choice_and_constant_scores_are_no_trouble() -> None:
    study = study_with(ThompsonSampler(seed=0))
    study.optimize(lambda trial: float(len(str(trial.suggest_categorical("a", ("only",))))), n_trials=5)
    assert len(study.trials) == 5


def test_integers_with_steps_and_logarithms_and_floats_beside_them() -> None:
    def mixed(trial: optuna.Trial) -> float:
        step = trial.suggest_int("step", 0, 20, step=5)
        wide = trial.suggest_int("wide", 1, 4096, log=True)
        assert step % 5 == 0
        return -abs(step - 10) - abs(np.log2(wide) - 6) - trial.suggest_float("plain", 0, 1)

    study = study_with(ThompsonSampler(seed=0))
    study.optimize(mixed, n_trials=30)
    assert study.best_params["step"] == 10
    assert 32 <= study.best_params["wide"] <= 128


def test_parameters_that_hang_on_others_are_learned() -> None:
    def conditional(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("kind", ("plain", "wide", None)) == "wide":
            return 2.0 + trial.suggest_int("width", 0, 5)
        return 1.0

    study = study_with(ThompsonSampler(seed=0))
    study.optimize(conditional, n_trials=25)
    assert study.best_value == 7.0


def test_an_enqueued_trial_is_run_as_it_is_and_completed_where_it_is_partial() -> None:
    study = study_with(ThompsonSampler(seed=0, space=SPACE, cost=cost, budget=6))
    study.optimize(objective, n_trials=8)
    study.enqueue_trial(dict.fromkeys(NAMES, 2))
    study.enqueue_trial({"layer0": 2, "layer1": 2})
    study.optimize(objective, n_trials=2)
    whole, partial = study.trials[-2:]
    assert list(whole.params.values()) == [2] * 6
    assert (partial.params["layer0"], partial.params["layer1"]) == (2, 2)
    assert cost(partial.params) <= 6


def test_a_parameter_whose_range_changes_is_left_to_the_fallback() -> None:
    study = study_with(ThompsonSampler(seed=0))
    study.optimize(lambda trial: float(trial.suggest_int("a", 0, 3 + trial.number)), n_trials=8)
    assert all(trial.params["a"] <= 3 + trial.number for trial in study.trials)


def test_past_trials_of_another_sampler_are_learned_from() -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=40)
    study.sampler = ThompsonSampler(seed=0)
    study.optimize(objective, n_trials=5)
    assert max(trial.value for trial in study.trials[40:] if trial.value is not None) == 6


def test_the_expected_best_is_not_the_luckiest() -> None:
    study = study_with(ThompsonSampler(seed=0, space=SPACE))
    study.optimize(objective, n_trials=25)
    lucky = dict.fromkeys(NAMES, 1)
    study.add_trial(optuna.trial.create_trial(params=lucky, distributions=dict(SPACE), value=6.3))
    for _ in range(6):
        study.add_trial(optuna.trial.create_trial(params=lucky, distributions=dict(SPACE), value=2.0))
    sampler = study.sampler
    assert isinstance(sampler, ThompsonSampler)
    assert study.best_params == lucky
    assert list(sampler.best_trial(study).params.values()) == WANTED.tolist()


def test_a_sampler_can_be_pickled_and_used_for_two_studies() -> None:
    sampler = pickle.loads(pickle.dumps(ThompsonSampler(seed=0, space=SPACE)))
    for _ in range(2):
        study = study_with(sampler)
        study.optimize(objective, n_trials=7)
        assert len({tuple(trial.params.values()) for trial in study.trials}) == 7


def test_only_choices_are_proposed_together() -> None:
    sampler = ThompsonSampler(
        seed=0, space=SPACE | {"rate": FloatDistribution(0, 1), "n": IntDistribution(1, 2)}
    )
    study = study_with(sampler)
    trial = study.ask()
    assert set(sampler.infer_relative_search_space(study, trial._cached_frozen_trial)) == {*NAMES, "n"}
    study.tell(trial, state=TrialState.FAIL)


def test_no_warning_is_raised() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study_with(ThompsonSampler(seed=0)).optimize(objective, n_trials=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 5}, "budget needs cost, which says what a parameter dictionary costs"),
        ({"budget": -1, "cost": len}, "a budget must be a number above 0, got -1"),
        ({"budget": float("nan"), "cost": len}, "a budget must be a number above 0, got nan"),
        ({"budget": (4, "a"), "cost": len}, "a budget must be a number above 0, got 'a'"),
    ],
)
def test_a_budget_that_says_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ThompsonSampler(seed=0, **options)
