"""What would regularised evolution try next?

Aging evolution (arXiv:1802.01548, algorithm 1): of a few of the youngest trials the best gets a child with one choice
changed; the oldest dies, however good it was. A rival to be held against, and a fallback that needs no model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from effsearch.search.samplers.choices import (
    ChoiceSpace,
    Parameters,
    SeenParameters,
    choice_space,
    is_supported,
)
from effsearch.search.samplers.lock import SamplerLock
from effsearch.space.errors import BudgetError

POPULATION = 50
TOURNAMENT = 10
MAX_TRIES = 1_000  # children refused before the last one's choices are drawn anew


class EvolutionSampler(BaseSampler):
    """Proposes children of the best of a few young trials; one objective, categorical and integer parameters.

    Args:
        seed: Of all draws; None for other draws each time.
        population: Number of the youngest trials that are alive.
        tournament: How many of them compete to be the parent.
        is_allowed: Which parameters may be tried.
        cost: What a budget counts, of a dictionary of parameters.
        budget: Nothing dearer is proposed.
        space: The parameters, if they are known before the first trial.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        population: int = POPULATION,
        tournament: int = TOURNAMENT,
        is_allowed: Callable[[Parameters], bool] | None = None,
        cost: Callable[[Parameters], float] | None = None,
        budget: float | None = None,
        space: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._population = population
        self._tournament = tournament
        self._is_allowed = is_allowed
        self._cost = cost
        self._budget = budget
        self._given = dict(space) if space is not None else None
        self._fallback = optuna.samplers.RandomSampler(seed=seed)
        self._lock = SamplerLock()

    def reseed_rng(self) -> None:
        """Draw otherwise from now on."""
        self._rng = np.random.default_rng()
        self._fallback.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Give the parameters that are inherited: those given, or all choices that trials have had."""
        self._raise_error_if_multi_objective(study)
        if self._given is not None:
            return {name: kind for name, kind in self._given.items() if is_supported(kind)}
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        return SeenParameters().read(others).choices()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Parameters:
        """Give a child, or random choices until the first population is full."""
        if not search_space:
            return {}
        space = choice_space(search_space)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        alive = complete[-self._population :]
        with self._lock:
            if len(alive) < self._population:
                return self._first_allowed(space, lambda: self._random_point(space))
            parent = space.point_of(self._best_of_some(study, alive).params)
            return self._first_allowed(space, lambda: self._mutated(space, parent))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Give a random value of a parameter that is not inherited."""
        with self._lock:
            return self._fallback.sample_independent(study, trial, param_name, param_distribution)

    def _best_of_some(self, study: Study, alive: Sequence[FrozenTrial]) -> FrozenTrial:
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        number = min(self._tournament, len(alive))
        some = [alive[int(index)] for index in self._rng.choice(len(alive), size=number, replace=False)]
        return max(some, key=lambda trial: sign * trial.values[0])

    def _first_allowed(self, space: ChoiceSpace, draw: Callable[[], tuple[int, ...]]) -> Parameters:
        for _ in range(MAX_TRIES):
            parameters = space.parameters_at(draw())
            if self._allows(parameters):
                return parameters
        for _ in range(MAX_TRIES):  # a parent without an allowed neighbour
            parameters = space.parameters_at(self._random_point(space))
            if self._allows(parameters):
                return parameters
        raise BudgetError(f"none of {2 * MAX_TRIES} drawn points is allowed: raise the budget")

    def _allows(self, parameters: Parameters) -> bool:
        if self._is_allowed is not None and not self._is_allowed(parameters):
            return False
        return self._cost is None or self._budget is None or self._cost(parameters) <= self._budget

    def _random_point(self, space: ChoiceSpace) -> tuple[int, ...]:
        return tuple(int(index) for index in self._rng.integers(np.asarray(space.num_choices)))

    def _mutated(self, space: ChoiceSpace, parent: tuple[int, ...]) -> tuple[int, ...]:
        """Change one choice to another; a choice that the parent did not make is drawn."""
        numbers = space.num_choices
        child = [
            int(self._rng.integers(number)) if index < 0 else index
            for index, number in zip(parent, numbers, strict=True)
        ]
        open_dimensions = [index for index, number in enumerate(numbers) if number > 1]
        if open_dimensions:
            dimension = int(self._rng.choice(open_dimensions))
            step = int(self._rng.integers(1, numbers[dimension]))
            child[dimension] = (child[dimension] + step) % numbers[dimension]
        return tuple(child)
