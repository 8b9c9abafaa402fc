"""Which sampler does a name stand for?"""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import get_args

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from effsearch.search.model.engine import NUM_STARTUP
from effsearch.search.problem import SamplerName
from effsearch.search.samplers.choices import Parameters
from effsearch.search.samplers.evolution import EvolutionSampler
from effsearch.search.samplers.thompson import ThompsonSampler
from effsearch.space.errors import UsageError

OPTUNA_STARTUP = 10  # Optuna's own defaults
OPTUNA_POPULATION = 50


def make_sampler(
    name: SamplerName,
    *,
    seed: int | None,
    num_startup: int | None = None,
    cost: Callable[[Parameters], float] | None = None,
    budget: float | Sequence[float] | None = None,
    features: Callable[[Parameters], Sequence[float]] | None = None,
    canonical: Callable[[Parameters], Hashable] | None = None,
    space: Mapping[str, BaseDistribution] | None = None,
) -> BaseSampler:
    """Give a sampler by its name.

    Args:
        name: `tpe` is the multivariate one.
        seed: Of all draws.
        num_startup: Trials before a model or a population proposes; each sampler's own number if None.
        cost: For `thompson` and `evolution`, which stay inside the budget by themselves.
        budget: Bound or, for `thompson`, bounds on the cost.
        features: For `thompson`: numbers known without training.
        canonical: For `thompson`: two dictionaries with one form are one.
        space: For `thompson` and `evolution`: the parameters, if known before the first trial.

    Raises:
        UsageError: There is no sampler of that name, or evolution was given several budgets.
    """
    population = OPTUNA_POPULATION if num_startup is None else max(num_startup, 2)
    startup = OPTUNA_STARTUP if num_startup is None else num_startup
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna announces experimental samplers and arguments
        match name:
            case "thompson":
                return ThompsonSampler(
                    seed=seed,
                    cost=cost,
                    budget=budget,
                    features=features,
                    canonical=canonical,
                    space=space,
                    num_startup=NUM_STARTUP if num_startup is None else num_startup,
                )
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, constant_liar=True, n_startup_trials=startup
                )
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
            case "evolution":
                if budget is not None and not isinstance(budget, int | float):
                    raise UsageError("evolution takes one budget; give one, or choose --sampler thompson")
                return EvolutionSampler(
                    seed=seed, cost=cost, budget=budget, space=space, population=population
                )
    raise UsageError(f"no sampler is called {name!r}; choose one of {', '.join(get_args(SamplerName))}")
