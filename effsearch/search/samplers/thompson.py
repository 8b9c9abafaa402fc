"""How does Optuna ask the engine what to try next?

`ThompsonSampler` reads a study's trials, tells them to a `ThompsonEngine`, and gives its proposals as parameters. It
keeps nothing that the study does not hold, but for what it has already told.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from effsearch.search.model.engine import NUM_STARTUP
from effsearch.search.samplers.choices import MISSING, Parameters, SeenParameters, first_value, is_supported
from effsearch.search.samplers.lock import SamplerLock
from effsearch.search.samplers.study_models import Number, Numbers, StudyKey, StudyModels, key_of


class ThompsonSampler(BaseSampler):
    """Proposes what is expected to raise the best score the most, by a Bayesian model of the choices.

    For categorical and integer parameters; parameters of other kinds are left to TPE. A trial that failed is not
    tried again; a pruned one counts with its last report, or the lower quartile if that is worse. Where
    everything has been tried, what may be the best is tried once more, since scores are noisy.

    Args:
        seed: Of all draws; None for other draws each time.
        cost: What the budget counts, of a dictionary of parameters. Should be quick: it is asked for thousands. A
            study objective that always equals it is known to be exact.
        budget: Nothing dearer is proposed; of several, each ask serves the next in turn.
        features: Numbers known without training, of a dictionary of parameters; their weight is learned.
        canonical: Two dictionaries with one form are one and are not both tried.
        space: The parameters, so that the first trial of a define-by-run study is inside the budget too; without
            it, that trial takes the first or lowest choice of each. Where parameters hang on others, `cost`,
            `features` and `canonical` are handed all of them.
        num_startup: Scores to wait for before the model proposes.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        cost: Number | None = None,
        budget: float | Sequence[float] | None = None,
        features: Numbers | None = None,
        canonical: Callable[[Parameters], Hashable] | None = None,
        space: Mapping[str, BaseDistribution] | None = None,
        num_startup: int = NUM_STARTUP,
    ) -> None:
        _check_budget(cost, budget)
        self._seed = seed
        self._cost = cost
        self._budget = budget
        self._features = features
        self._canonical = canonical
        self._given = dict(space) if space is not None else None
        self._num_startup = num_startup
        self._fallback = optuna.samplers.TPESampler(seed=seed)
        self._models: StudyModels | None = None
        self._seen: tuple[StudyKey, SeenParameters] | None = None
        self._lock = SamplerLock()

    def reseed_rng(self) -> None:
        """Draw otherwise from now on."""
        with self._lock:
            self._seed = None
            self._models = None
            self._fallback.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Give the parameters that are proposed together: those given, or all choices that trials have had."""
        if self._given is not None:
            return {name: kind for name, kind in self._given.items() if is_supported(kind)}
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        whole = [other for other in trials if other.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        if not whole:
            return SeenParameters().read(trials).choices()
        with self._lock:
            if self._seen is None or self._seen[0] != key_of(study):
                self._seen = key_of(study), SeenParameters()
            return self._seen[1].read(whole).choices()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Parameters:
        """Give the next proposal."""
        if not search_space:
            return {}
        with self._lock:
            trials = study.get_trials(deepcopy=False)
            models = self._models
            if models is None or not models.is_for(study, search_space):
                models = self._models = self._new_models(study, search_space)
            models.learn(trials)
            models.mark_running(trials, trial.number)
            fixed: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
            point = models.propose(trial.number, fixed)
            return {} if point is None else models.space.parameters_at(point)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Give a value of a parameter that is not proposed with the others."""
        is_unknown = self._given is None and not any(
            param_name in other.distributions
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
        )
        if is_unknown and self._budget is not None and is_supported(param_distribution):
            return first_value(param_distribution)
        with self._lock:
            return self._fallback.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the fallback see the end of a trial too."""
        self._fallback.after_trial(study, trial, state, values)

    def best_trial(self, study: Study) -> FrozenTrial:
        """Give the complete trial with the best expected score: noise has a part in the best observed one.

        Raises:
            ValueError: The study has several objectives, or no trial is complete.
        """
        plain = study.best_trial  # refuses several objectives, and studies without a complete trial
        space = self.infer_relative_search_space(study, plain)
        trials = study.get_trials(deepcopy=False)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        feasible = [trial for trial in complete if all(bound <= 0 for bound in trial.constraints.values())]
        with self._lock:
            models = self._new_models(study, space)
            models.learn(trials)
            whole = [one for one in feasible if MISSING not in models.space.point_of(one.params)]
            if not whole or not space:
                return plain
            points = np.asarray([models.space.point_of(one.params) for one in whole], dtype=np.int64)
            return whole[int(np.argmax(models.objectives[0].posterior(points)[0]))]

    def _new_models(self, study: Study, search_space: Mapping[str, BaseDistribution]) -> "StudyModels":
        return StudyModels(
            study,
            search_space,
            cost=self._cost,
            budget=self._budget,
            features=self._features,
            canonical=self._canonical,
            seed=self._seed,
            num_startup=self._num_startup,
        )


def _check_budget(cost: Number | None, budget: float | Sequence[float] | None) -> None:
    """Refuse a budget that says nothing.

    Raises:
        ValueError: There is one without a cost to count it by, or one that is not above zero.
    """
    if budget is None:
        return
    if cost is None:
        raise ValueError("budget needs cost, which says what a parameter dictionary costs")
    for one in budget if isinstance(budget, Sequence) else (budget,):
        if not isinstance(one, int | float) or not one > 0:
            raise ValueError(f"a budget must be a number above 0, got {one!r}")
