import pickle
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from effsearch.search import EvolutionSampler
from effsearch.space.errors import BudgetError

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAMES = [f"layer{index}" for index in range(6)]
SPACE = {name: CategoricalDistribution((0, 1, 2)) for name in NAMES}


def total(parameters: dict[str, Any]) -> float:
    return float(sum(parameters[name] for name in NAMES))


def objective(trial: optuna.Trial) -> float:
    return float(sum(trial.suggest_categorical(name, (0, 1, 2)) for name in NAMES))


def search(number: int, direction: str = "maximize", **settings: Any) -> list[optuna.trial.FrozenTrial]:
    sampler = EvolutionSampler(**({"seed": 0, "population": 5, "tournament": 2} | settings))
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(objective, n_trials=number)
    return study.trials


def num_changes(one: optuna.trial.FrozenTrial, other: optuna.trial.FrozenTrial) -> int:
    return sum(one.params[name] != other.params[name] for name in NAMES)


def test_a_child_differs_in_one_choice_from_one_of_the_youngest() -> None:
    trials = search(30)
    for index in range(5, 30):
        assert 1 in [num_changes(trials[index], parent) for parent in trials[index - 5 : index]]


def test_the_parent_is_the_best_of_the_tournament() -> None:
    trials = search(20, tournament=5)
    for index in range(5, 20):
        alive = trials[index - 5 : index]
        best = max(trial.values[0] for trial in alive)
        assert 1 in [num_changes(trials[index], one) for one in alive if one.values[0] == best]


@pytest.mark.parametrize(("direction", "best"), [("maximize", 12.0), ("minimize", 0.0)])
def test_it_climbs_in_either_direction(direction: str, best: float) -> None:
    values = [trial.values[0] for trial in search(250, direction)]
    assert best in values


def test_nothing_outside_the_budget_or_disallowed_is_proposed() -> None:
    for settings in ({"cost": total, "budget": 4}, {"is_allowed": lambda one: total(one) <= 4}):
        trials = search(30, space=SPACE, **settings)
        assert max(total(trial.params) for trial in trials) == 4


def test_a_budget_that_nothing_meets_is_refused() -> None:
    with pytest.raises(BudgetError, match="none of 2000 drawn points is allowed: raise the budget"):
        search(1, space=SPACE, cost=total, budget=-1)


def test_choices_with_one_value_and_floats_are_carried_along() -> None:
    def mixed(trial: optuna.Trial) -> float:
        only = trial.suggest_categorical("only", ("one",))
        return len(only) + trial.suggest_float("rate", 0, 1) + trial.suggest_int("depth", 1, 3)

    study = optuna.create_study(direction="maximize", sampler=EvolutionSampler(seed=0, population=4))
    study.optimize(mixed, n_trials=15)
    assert study.best_params["depth"] == 3


def test_a_seed_decides_and_reseeding_changes_it() -> None:
    def points(trials: list[optuna.trial.FrozenTrial]) -> list[dict[str, Any]]:
        return [trial.params for trial in trials]

    assert points(search(12)) == points(search(12)) != points(search(12, seed=1))
    sampler = pickle.loads(pickle.dumps(EvolutionSampler(seed=0, population=5, space=SPACE)))
    sampler.reseed_rng()
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=12, n_jobs=2)
    assert len(study.trials) == 12


def test_several_objectives_are_refused() -> None:
    study = optuna.create_study(directions=["maximize"] * 2, sampler=EvolutionSampler(seed=0, space=SPACE))
    with pytest.raises(ValueError, match="EvolutionSampler cannot be used"):
        study.ask(dict(SPACE))
