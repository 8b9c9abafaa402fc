"""Which network of the space is trained next?

Start-up points are drawn uniformly from the upper part of the budget. Then Optuna's TPE proposes, and a proposal
outside the budget or of a network already seen is refused and asked for again, free of charge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import TrialState

from effsearch.search.study import distributions_of, finished_trial, memory_study
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.cost import Cost, count_cost
from effsearch.space.screening import IntArray, all_points, draw_inside, screen
from effsearch.space.search_space import Label, Point, SearchSpace
from effsearch.space.spec import ModelSpec

LEAST_SHARE = 0.8  # start-up draws use at least this share of the budget: it cuts regret by 20 to 40 per cent
MAX_REFUSALS = 60  # TPE proposals refused in a row before a random one inside the budget is taken
DRAWS_AT_ONCE = 256
SMALL_SPACE = 100_000  # points; up to here exhaustion is found by enumeration


@dataclass(frozen=True, slots=True)
class Proposal:
    """A network of the space that has not been seen before, inside the budget."""

    spec: ModelSpec
    network: str
    cost: Cost
    labels: Mapping[str, Label]
    trial: optuna.Trial


class Proposer:
    """Asks TPE, checks the budget, and never proposes a network twice."""

    def __init__(
        self,
        space: SearchSpace,
        budget: Budget,
        *,
        resolution: int,
        num_classes: int,
        seed: int,
        num_startup: int,
    ) -> None:
        self.space = space
        self.num_refused = 0
        self._budget = budget
        self._resolution = resolution
        self._num_classes = num_classes
        self._num_startup = num_startup
        self._num_told = 0
        self._rng = np.random.default_rng(seed)
        self._study = memory_study(seed=seed, num_startup=num_startup)
        self._distributions = distributions_of(space)
        self._seen: set[str] = set()
        self._checked: set[Point] = set()  # points whose network was seen or is outside

    def mark_seen(self, network: str) -> None:
        """Never propose this network: it has been trained, or it is being trained."""
        self._seen.add(network)

    def tell_past(self, labels: Mapping[str, Label], *, value: float | None, network: str) -> None:
        """Tell the sampler of a network that it did not propose: an anchor, or one from before a resume."""
        self._study.add_trial(finished_trial(self.space, labels, value=value, network=network))
        self._num_told += 1
        self._seen.add(network)

    def tell(self, proposal: Proposal, *, value: float | None) -> None:
        """Tell the sampler how a proposal ended; None for a failure."""
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        self._study.tell(proposal.trial, value, state=state)
        self._num_told += 1

    def propose(self) -> Proposal | None:
        """Give a new network inside the budget, or None where the space has no other."""
        if self._num_told < self._num_startup:
            return self._random_proposal()
        for _ in range(MAX_REFUSALS):
            trial = self._study.ask(dict(self._distributions))
            point = self.space.point_of(trial.params)
            found = self._new_network(point)
            if found is not None:
                return Proposal(*found, trial.params, trial)
            self._study.tell(trial, state=TrialState.FAIL)
            self.num_refused += 1
        return self._random_proposal()

    def _random_proposal(self) -> Proposal | None:
        """Take a random point of the upper budget, then of the whole of it, then of a full enumeration."""
        for least_share in (LEAST_SHARE, 0.0):
            for point in self._draw(least_share):
                proposal = self._enqueued(point)
                if proposal:
                    return proposal
        if self.space.size <= SMALL_SPACE:
            points = all_points(self.space)
            costs = screen(self.space, points, resolution=self._resolution, num_classes=self._num_classes)
            for row in self._rng.permutation(points[costs.inside(self._budget)]):
                proposal = self._enqueued(tuple(int(index) for index in row))
                if proposal:
                    return proposal
        return None

    def _draw(self, least_share: float) -> list[Point]:
        points: IntArray = draw_inside(
            self.space,
            self._budget,
            DRAWS_AT_ONCE,
            resolution=self._resolution,
            num_classes=self._num_classes,
            rng=self._rng,
            least_share=least_share,
        )
        return [tuple(int(index) for index in row) for row in points]

    def _enqueued(self, point: Point) -> Proposal | None:
        found = self._new_network(point)
        if found is None:
            return None
        labels = self.space.labels_at(point)
        self._study.enqueue_trial(dict(labels))
        return Proposal(*found, labels, self._study.ask(dict(self._distributions)))

    def _new_network(self, point: Point) -> tuple[ModelSpec, str, Cost] | None:
        if point in self._checked:
            return None
        self._checked.add(point)
        spec = self.space.spec_at(point, resolution=self._resolution, num_classes=self._num_classes)
        cost = count_cost(spec)
        if not self._budget.allows(cost):
            return None
        network = network_hash(spec)
        if network in self._seen:
            return None
        self._seen.add(network)
        return spec, network, cost
