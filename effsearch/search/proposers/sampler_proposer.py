"""What does a sampler of Optuna's propose, held to a budget?

Start-up points are drawn uniformly from the upper part of the budget. Then the sampler proposes, and a proposal
outside the budget or of a network already seen is refused and asked for again, free of charge.
"""

import numpy as np
import optuna
from optuna.trial import TrialState

from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.proposer import Proposal
from effsearch.search.samplers.make_sampler import make_sampler
from effsearch.search.study import distributions_of, finished_trial, memory_study
from effsearch.search.valuation import second_value
from effsearch.space.canonical import network_hash
from effsearch.space.cost import Cost
from effsearch.space.outcome import Job
from effsearch.space.screening import UPPER_SHARE, IntArray, all_points, draw_inside
from effsearch.space.search_space import Point
from effsearch.space.spec import ModelSpec

NUM_RANDOM = 10  # networks drawn at random before the sampler is asked
MAX_REFUSALS = 60  # proposals refused in a row before a random one inside the budget is taken
DRAWS_AT_ONCE = 256
SMALL_SPACE = 100_000  # points; up to here exhaustion is found by enumeration


class SamplerProposer:
    """Asks an Optuna sampler, checks the budget, and never proposes a network twice."""

    has_prior = False

    def __init__(self, problem: Problem, settings: SearchSettings, *, seed: int) -> None:
        self.num_refused = 0
        self._space = problem.space
        self._problem = problem
        self._settings = settings
        self._num_told = 0
        self._rng = np.random.default_rng(seed)
        self._num_startup = NUM_RANDOM if settings.num_startup is None else settings.num_startup
        sampler = make_sampler(settings.sampler, seed=seed, num_startup=settings.num_startup)
        self._has_two_objectives = settings.second_objective is not None
        self._study = memory_study(sampler, has_two_objectives=self._has_two_objectives)
        self._distributions = distributions_of(self._space)
        self._open: dict[str, optuna.Trial] = {}
        self._suggested: list[Point] = []
        self._seen: set[str] = set()
        self._checked: set[tuple[Point, int]] = set()  # points whose network was seen or is outside

    def mark_seen(self, network: str) -> None:
        """Never propose this network: it has been trained, or it is being trained."""
        self._seen.add(network)

    def suggest(self, job: Job) -> None:
        """Have a network of an earlier run proposed before all others."""
        self._suggested.append(self._space.point_of(job.choices))

    def belief(self, job: Job) -> float | None:
        """Give no opinion: samplers propose, they do not judge."""
        return None

    def settle(self) -> None:
        """Do nothing: there is no opinion."""

    def observe(self, job: Job, value: float | None, *, rung: int, val_accuracy: float | None = None) -> None:
        """Take how a network's first training ended; None for a failure. Other rungs are not told."""
        self._seen.add(job.network)
        if rung or job.replicate:
            return
        values = self._values(job, value)
        trial = self._open.pop(job.network, None)
        if trial is not None:
            state = TrialState.FAIL if values is None else TrialState.COMPLETE
            self._study.tell(trial, values, state=state)
        elif job.choices:
            past = finished_trial(self._space, job.choices, values=values, network=job.network)
            self._study.add_trial(past)
        else:
            return
        self._num_told += 1

    def propose(self, budget_index: int) -> Proposal | None:
        """Give a new network inside one of the budgets, or None where the space has no other."""
        while self._suggested:
            proposal = self._enqueued(self._suggested.pop(0), budget_index)
            if proposal is not None:
                return proposal
        if self._num_told < self._num_startup:
            return self._random_proposal(budget_index)
        for _ in range(MAX_REFUSALS):
            trial = self._study.ask(dict(self._distributions))
            found = self._new_network(self._space.point_of(trial.params), budget_index)
            if found is not None:
                return self._handed_out(*found, trial)
            self._study.tell(trial, state=TrialState.FAIL)
            self.num_refused += 1
        return self._random_proposal(budget_index)

    def _values(self, job: Job, value: float | None) -> tuple[float, ...] | None:
        if value is None:
            return None
        if not self._has_two_objectives:
            return (value,)
        return (value, float(second_value(job.cost, self._settings)))

    def _handed_out(self, spec: ModelSpec, network: str, cost: Cost, trial: optuna.Trial) -> Proposal:
        self._open[network] = trial
        return Proposal(spec, network, cost, trial.params)

    def _random_proposal(self, budget_index: int) -> Proposal | None:
        """Take a random point of the upper budget, then of the whole of it, then of a full enumeration."""
        for least_share in (UPPER_SHARE, 0.0):
            for point in self._draw(least_share, budget_index):
                proposal = self._enqueued(point, budget_index)
                if proposal:
                    return proposal
        if self._space.size <= SMALL_SPACE:
            points = all_points(self._space)
            inside = self._problem.costs(points).inside(self._problem.budgets[budget_index])
            for row in self._rng.permutation(points[inside]):
                proposal = self._enqueued(tuple(int(index) for index in row), budget_index)
                if proposal:
                    return proposal
        return None

    def _draw(self, least_share: float, budget_index: int) -> list[Point]:
        points: IntArray = draw_inside(
            self._space,
            self._problem.budgets[budget_index],
            DRAWS_AT_ONCE,
            resolution=self._problem.resolution,
            num_classes=self._problem.num_classes,
            rng=self._rng,
            least_share=least_share,
        )
        return [tuple(int(index) for index in row) for row in points]

    def _enqueued(self, point: Point, budget_index: int) -> Proposal | None:
        found = self._new_network(point, budget_index)
        if found is None:
            return None
        self._study.enqueue_trial(dict(self._space.labels_at(point)))
        return self._handed_out(*found, self._study.ask(dict(self._distributions)))

    def _new_network(self, point: Point, budget_index: int) -> tuple[ModelSpec, str, Cost] | None:
        if (point, budget_index) in self._checked:
            return None
        self._checked.add((point, budget_index))
        spec = self._space.spec_at(
            point, resolution=self._problem.resolution, num_classes=self._problem.num_classes
        )
        cost = self._problem.count(spec)
        if not self._problem.budgets[budget_index].allows(cost):
            return None
        network = network_hash(spec)
        if network in self._seen:
            return None
        self._seen.add(network)
        return spec, network, cost
