import optuna
import pytest

import effsearch.search
from effsearch.search.problem import SamplerName
from effsearch.search.samplers.evolution import EvolutionSampler
from effsearch.search.samplers.make_sampler import make_sampler
from effsearch.search.samplers.thompson import ThompsonSampler
from effsearch.space.errors import UsageError

optuna.logging.set_verbosity(optuna.logging.WARNING)

KINDS = {
    "thompson": ThompsonSampler,
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "evolution": EvolutionSampler,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("num_startup", [None, 3])
def test_every_name_gives_its_sampler_without_a_warning(name: SamplerName, num_startup: int | None) -> None:
    sampler = make_sampler(name, seed=0, num_startup=num_startup)
    assert isinstance(sampler, KINDS[name])
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(lambda trial: float(trial.suggest_int("depth", 0, 9)), n_trials=6)
    assert len(study.trials) == 6


def test_a_budget_is_passed_on_to_those_that_keep_it() -> None:
    for name in ("thompson", "evolution"):
        space = {"depth": optuna.distributions.IntDistribution(0, 9)}
        sampler = make_sampler(name, seed=0, cost=lambda one: one["depth"], budget=4, space=space)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(lambda trial: float(trial.suggest_int("depth", 0, 9)), n_trials=10)
        assert max(trial.params["depth"] for trial in study.trials) <= 4


def test_evolution_takes_one_budget() -> None:
    with pytest.raises(UsageError, match="evolution takes one budget"):
        make_sampler("evolution", seed=0, budget=(1.0, 2.0))


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no sampler is called 'best'; choose one of thompson, tpe, random"):
        make_sampler("best", seed=0)  # type: ignore[arg-type]  # on purpose


def test_the_package_hands_out_its_samplers() -> None:
    assert effsearch.search.ThompsonSampler is ThompsonSampler
    for name in effsearch.search.__all__:
        assert getattr(effsearch.search, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'best'"):
        _ = effsearch.search.best
