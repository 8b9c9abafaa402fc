"""What has been learned from a study of Optuna's?

An engine for each objective and each constraint, told the trials as they end. Parameters become points here,
directions become signs, and the running trials pending points.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from effsearch.search.model.engine import ThompsonEngine
from effsearch.search.model.kernel import FloatArray, IntArray
from effsearch.search.model.trade_off import feasible_worth, front_worth
from effsearch.search.samplers.choices import MISSING, ChoiceSpace, Parameters, choice_space

StudyKey = tuple[str, int]
Number = Callable[[Parameters], float]
Numbers = Callable[[Parameters], Sequence[float]]

FIXED_DRAWS = 2_000  # candidates where some parameters of an enqueued trial are given
SHORTLIST = 512  # points of which joint draws are taken where there are constraints
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def key_of(study: Study) -> StudyKey:
    """Tell one study from another, while the program runs."""
    return study.study_name, id(study._storage)


class StudyModels:
    """What has been learned from one study: an engine for each objective and each constraint."""

    def __init__(
        self,
        study: Study,
        distributions: Mapping[str, BaseDistribution],
        *,
        cost: Number | None,
        budget: float | Sequence[float] | None,
        features: Numbers | None,
        canonical: Callable[[Parameters], Hashable] | None,
        seed: int | None,
        num_startup: int,
    ) -> None:
        self.space: ChoiceSpace = choice_space(distributions)
        self._study_key = key_of(study)
        self._distributions = dict(distributions)
        self._signs = [1.0 if one == StudyDirection.MAXIMIZE else -1.0 for one in study.directions]
        self._cost = cost
        self._costs: dict[tuple[int, ...], float] = {}
        self._rows: dict[tuple[int, ...], Sequence[float]] = {}
        self._features = features
        self._canonical = canonical
        self._budget = budget
        self._num_startup = num_startup
        self._seeds = np.random.SeedSequence(seed)
        self._rng = np.random.default_rng(self._seeds.spawn(1)[0])
        self._told: set[int] = set()
        self._proposed: dict[int, tuple[int, ...]] = {}
        self._seen_values: list[tuple[tuple[int, ...], list[float]]] = []
        self._constraints: dict[str, ThompsonEngine] = {}
        self._is_exact = [cost is not None] * len(self._signs)
        self.objectives = [self._engine() for _ in self._signs]

    def is_for(self, study: Study, distributions: Mapping[str, BaseDistribution]) -> bool:
        """Tell whether these models are of that study and those parameters."""
        return (
            study.study_name,
            id(study._storage),
        ) == self._study_key and distributions == self._distributions

    def learn(self, trials: Sequence[FrozenTrial]) -> None:
        """Take the trials that have ended since the last time."""
        for trial in trials:
            if trial.state in ENDED and trial.number not in self._told:
                self._told.add(trial.number)
                self._proposed.pop(trial.number, None)
                self._learn(trial)

    def mark_running(self, trials: Sequence[FrozenTrial], number: int) -> None:
        """Take every running trial but one for pending."""
        for engine in self.objectives:
            engine.forget_pending()
        for trial in trials:
            if trial.state == TrialState.RUNNING and trial.number != number:
                point = self.space.point_of(trial.params)
                point = self._proposed.get(trial.number, point) if MISSING in point else point
                if any(index != MISSING for index in point):
                    for engine in self.objectives:
                        engine.mark_pending(point)

    def propose(self, number: int, fixed: Mapping[str, Any]) -> tuple[int, ...] | None:
        """Give the next point for a trial, of which some parameters may be fixed."""
        main = self.objectives[0]
        candidates = self._completions(fixed) if fixed else None
        if candidates is not None and len(candidates) <= 1:
            return None
        acquire = self._acquire() if self._seen_values else None
        guide = None if acquire is None else self._guide()
        point = main.propose(candidates=candidates, acquire=acquire, guide=guide)
        if point is None:
            point = main.repeat()
        if point is not None:
            self._proposed[number] = point
        return point

    def _learn(self, trial: FrozenTrial) -> None:
        point = self.space.point_of(trial.params)
        if all(index == MISSING for index in point):
            return
        values = self._values_of(trial)
        for index, engine in enumerate(self.objectives):
            engine.tell(point, None if values is None else values[index])
        if values is None:
            return
        self._seen_values.append((point, values))
        if self._cost is not None and len(values) > 1 and MISSING not in point:
            cost = float(self._all_costs(np.asarray([point], dtype=np.int64))[0])
            for index, value in enumerate(values):
                alike = abs(value * self._signs[index] - cost) <= 1e-6 * abs(cost)
                self._is_exact[index] = self._is_exact[index] and alike
        for name, bound in trial.constraints.items():
            self._constraints.setdefault(name, self._engine()).tell(point, float(bound))

    def _values_of(self, trial: FrozenTrial) -> list[float] | None:
        """Scores to be maximised; None where the trial says nothing."""
        if trial.state == TrialState.COMPLETE:
            return [sign * value for sign, value in zip(self._signs, trial.values, strict=True)]
        if trial.state != TrialState.PRUNED or len(self._signs) > 1 or not trial.intermediate_values:
            return None
        last = self._signs[0] * trial.intermediate_values[max(trial.intermediate_values)]
        complete = [values[0] for _, values in self._seen_values]
        value = min(last, float(np.quantile(complete, 0.25))) if complete else last
        return [value] if np.isfinite(value) else None

    def _engine(self) -> ThompsonEngine:
        bounds = [self._budget] if isinstance(self._budget, int | float) else self._budget
        return ThompsonEngine(
            self.space.num_choices,
            self.space.positions,
            costs=None if self._cost is None else self._all_costs,
            budgets=bounds,
            features=None if self._features is None else self._all_features,
            canonical=None if self._canonical is None else self._form_of,
            seed=int(self._seeds.spawn(1)[0].generate_state(1)[0]),
            num_startup=self._num_startup,
        )

    def _acquire(self) -> Callable[[IntArray], FloatArray] | None:
        """What a training of each point is worth; None where one objective without constraints is all."""
        constraints = list(self._constraints.values())
        if len(self.objectives) == 1 and not constraints:
            return None

        def acquire(points: IntArray) -> FloatArray:
            points_worth = np.full(len(points), -np.inf)
            if len(self.objectives) > 1:
                points_worth = self._front_worth(points)
                short = np.flatnonzero(np.isfinite(points_worth))
            else:
                means = self._guide()(points)
                short = np.argsort(-means, kind="stable")[:SHORTLIST]
                points_worth[short] = self.objectives[0].sample(points[short])
            violations = [engine.sample(points[short]) for engine in constraints]
            points_worth[short] = feasible_worth(points_worth[short], violations)
            return points_worth

        return acquire

    def _guide(self) -> Callable[[IntArray], FloatArray]:
        """Quick estimate of what is good: a random weighing of the expected objectives, where feasible."""
        weights = self._rng.dirichlet(np.ones(len(self.objectives)))
        seen = np.asarray([values for _, values in self._seen_values])
        low, spread = seen.min(axis=0), np.ptp(seen, axis=0)

        def guide(points: IntArray) -> FloatArray:
            if not len(points):
                return np.zeros(0)
            values = np.stack([mean(points) for mean in self._means()], axis=1)
            score = ((values - low) / np.where(spread > 0, spread, 1.0)) @ weights
            return feasible_worth(score, [engine.mean(points) for engine in self._constraints.values()])

        return guide

    def _front_worth(self, points: IntArray) -> FloatArray:
        array = np.asarray([point for point, _ in self._seen_values], dtype=np.int64)
        whole = self.objectives[0].representatives(array[(array >= 0).all(axis=1)])
        values = np.asarray([values for _, values in self._seen_values])
        means = self._means()
        seen = np.stack([mean(whole) for mean in means], axis=1) if len(whole) else values
        samples = [
            mean if is_exact else engine.sample
            for mean, is_exact, engine in zip(means, self._is_exact, self.objectives, strict=True)
        ]
        return front_worth(points, means=means, samples=samples, seen=seen, rng=self._rng)

    def _means(self) -> list[Callable[[IntArray], FloatArray]]:
        """Expected value of each objective; of one that is the known cost, the cost."""

        def exact(sign: float) -> Callable[[IntArray], FloatArray]:
            return lambda points: sign * self._all_costs(points)

        return [
            exact(sign) if is_exact else engine.mean
            for sign, is_exact, engine in zip(self._signs, self._is_exact, self.objectives, strict=True)
        ]

    def _completions(self, fixed: Mapping[str, Any]) -> IntArray:
        """Points that hold the fixed parameters, the others drawn at random."""
        given = self.space.point_of(fixed)
        free = [index == MISSING for index in given]
        number = FIXED_DRAWS if any(free) else 1
        draws = self._rng.integers(np.asarray(self.space.num_choices), size=(number, len(given)))
        return np.unique(np.where(free, draws, np.asarray(given)), axis=0)

    def _all_costs(self, points: IntArray) -> FloatArray:
        assert self._cost is not None
        keys = list(map(tuple, points.tolist()))
        for key in keys:
            if key not in self._costs:
                self._costs[key] = float(self._cost(self.space.parameters_at(key)))
        return np.asarray([self._costs[key] for key in keys])

    def _all_features(self, points: IntArray) -> FloatArray:
        assert self._features is not None
        keys = list(map(tuple, points.tolist()))
        for key in keys:
            if key not in self._rows:
                self._rows[key] = self._features(self.space.parameters_at(key))
        return np.asarray([self._rows[key] for key in keys], dtype=np.float64)

    def _form_of(self, point: tuple[int, ...]) -> Hashable:
        assert self._canonical is not None
        return self._canonical(self.space.parameters_at(point))
