"""What does the Bayesian model propose, given all that is known without training?

Features of a network are its number of blocks, its cost, and, where a screening was done, its zero-cost score and its
score with the supernet's weights. Before any training the model expects a separate training to follow the
screening; how far it does is learned, so a screening that misleads comes to count for nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from effsearch.search.features import FEATURES, network_features
from effsearch.search.model.engine import NUM_STARTUP, ThompsonEngine
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.proposer import Proposal
from effsearch.search.screening.screen_prior import ScreenPrior
from effsearch.search.valuation import Valuation
from effsearch.space.canonical import network_hash
from effsearch.space.forms import Forms
from effsearch.space.outcome import Evaluation, Job
from effsearch.space.screening import UPPER_SHARE, draw_inside
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CAP_DRAWS = 2_000  # networks from whose costs the bound of one proposal is drawn, with two objectives
LEAST_SAY = (
    0.2  # a minute of training has tau .54 with the truth where a supernet has .79: a fifth of its weight
)
MISLEADING = 0.25
SCREEN_FEATURE = len(FEATURES)  # its column: the prior's come after what is known of any network
HONEST_EVERY = 4  # one proposal in so many is any of the screened networks
SHORTLIST = 256  # networks whose scores are drawn jointly


class ModelProposer:
    """Proposes what the model expects most of; see `search.proposers.proposer.Proposer`.

    Without a screening that is the largest expected rise of the best score, with one a Thompson draw among the
    screened networks.
    """

    def __init__(
        self,
        problem: Problem,
        settings: SearchSettings,
        *,
        screened: Mapping[Point, ScreenScore],
        earlier: Sequence[Evaluation],
        seed: int,
    ) -> None:
        self.num_refused = 0
        self._num_proposed = 0
        self._trained_errors: dict[Point, float] = {}  # of each network's last training
        self.has_prior = bool(screened)
        self._problem = problem
        self._space = problem.space
        self._rng = np.random.default_rng(seed)
        self._seen: set[str] = set()
        self._prior: ScreenPrior | None = None
        self._candidates: IntArray | None = None
        self._beliefs: dict[Point, float] = {}  # of all points told, until the next one is
        self._told: set[Point] = set()
        self._first_rung = 1 if earlier else 0  # an earlier run's scores are a rung below this run's
        limits = [next(iter(budget.limits().values())) for budget in problem.budgets]
        self._has_cap = settings.second_objective is not None
        self._measure = problem.front_measure(settings) or "multiply_adds"
        self._engine = ThompsonEngine(
            [len(dimension.labels) for dimension in problem.space.dimensions],
            problem.space.positions(),
            costs=self._costs,
            budgets=[float(limit) for limit in limits],
            features=self._features,
            canonical=Forms(problem.space).at,
            seed=seed,
            draw_inside=self._draw,
            num_startup=1 if screened else settings.num_startup or NUM_STARTUP,
        )
        if screened:
            # The model knows equal networks by one point, so the screening has to know them by the same.
            known_by = self._engine.representatives(np.asarray(list(screened), dtype=np.int64))
            scores = dict(zip(map(tuple, known_by.tolist()), screened.values(), strict=True))
            self._prior = ScreenPrior(problem.space, scores)
            self._candidates = np.asarray(list(scores), dtype=np.int64)
        valuation = Valuation(problem, settings, earlier)
        for evaluation in earlier:
            self._tell(evaluation.job, valuation.score(evaluation), rung=0)
        self._engine.forget_taken()  # an earlier run has not trained them for this one

    def mark_seen(self, network: str) -> None:
        """Never propose this network: it has been trained, or it is being trained."""
        self._seen.add(network)

    def observe(self, job: Job, value: float | None, *, rung: int, val_accuracy: float | None = None) -> None:
        """Take how a training ended, at whatever rung; None for a failure."""
        self._seen.add(job.network)
        if job.choices:
            self._tell(job, value, rung=self._first_rung + rung)
            if value is not None:
                accuracy = value if val_accuracy is None else val_accuracy
                self._trained_errors[self._point_of(job)] = 1 - accuracy

    def belief(self, job: Job) -> float | None:
        """Give the model's mean for a network; one that is no point of the space has none."""
        if not job.choices:
            return None
        point = self._point_of(job)
        if point not in self._beliefs:  # all at once: one by one they would cost a promotion's whole time
            points = np.asarray([*self._told, point], dtype=np.int64)
            self._beliefs = dict(zip([*self._told, point], self._expected(points).tolist(), strict=True))
        return self._beliefs[point]

    def settle(self) -> None:
        """Fit the model afresh, so that what is believed hangs on the trainings and not on when it was fitted."""
        self._engine.fit_anew()
        self._beliefs = {}

    def propose(self, budget_index: int) -> Proposal | None:
        """Give a new network inside one of the budgets, or None where the space has no other."""
        candidates = self._candidates_for(budget_index)
        while True:
            point = self._next_point(budget_index, candidates)
            if point is None and candidates is not None:  # all that was screened is trained
                candidates = None
                continue
            if point is None:
                return None
            self._engine.mark_pending(point)
            spec = self._space.spec_at(
                point, resolution=self._problem.resolution, num_classes=self._problem.num_classes
            )
            cost, network = self._problem.count(spec), network_hash(spec)
            if network not in self._seen and self._problem.budgets[budget_index].allows(cost):
                self._seen.add(network)
                self._num_proposed += 1
                return Proposal(spec, network, cost, self._space.labels_at(point))
            self.num_refused += 1

    def _next_point(self, budget_index: int, candidates: IntArray | None) -> Point | None:
        if self._prior is None:
            return self._engine.propose(budget_index=budget_index, candidates=candidates)
        if candidates is not None and self._num_proposed % HONEST_EVERY == HONEST_EVERY - 1:
            return self._random_point(candidates)
        if self._engine.num_told or candidates is None:
            return self._engine.propose(
                budget_index=budget_index, candidates=candidates, acquire=self._draw_worth
            )
        # Nothing is known but the screening: its best come first.
        best_first = candidates[np.argsort(-self._offset(candidates), kind="stable")]
        points = (tuple(point) for point in best_first.tolist())
        return next((point for point in points if self._network_at(point) not in self._seen), None)

    def _random_point(self, candidates: IntArray) -> Point | None:
        """Give any of the candidates: trainings of favourites alone could never show that a screening misleads."""
        points = (tuple(point) for point in self._rng.permutation(candidates).tolist())
        return next((point for point in points if self._network_at(point) not in self._seen), None)

    def _tell(self, job: Job, value: float | None, *, rung: int) -> None:
        point = self._point_of(job)
        self._told.add(point)
        self._beliefs = {}
        if value is not None:
            value -= float(self._offset(np.asarray([point], dtype=np.int64))[0])
        self._engine.tell(point, value, rung=rung)

    def _point_of(self, job: Job) -> Point:
        """Give the point that the model knows a job's network by."""
        point = np.asarray([self._space.point_of(job.choices)], dtype=np.int64)
        return tuple(self._engine.representatives(point)[0].tolist())

    def _expected(self, points: IntArray) -> FloatArray:
        if not self._engine.num_told:
            return self._offset(points)
        # The level of the scores stays, so that networks outside the space can be compared by their own mean.
        level = float(self._engine.surrogate().scaling.centres[-1])
        deviation = self._engine.mean(points) - level
        return self._offset(points) + level + self._say_of_trainings() * deviation

    def _draw_worth(self, points: IntArray) -> FloatArray:
        """Draw a score for each of the likeliest points; the others come last."""
        expected = self._expected(points)
        best = np.argsort(-expected, kind="stable")[:SHORTLIST]
        worth = np.full(len(points), -np.inf)
        worth[best] = self._offset(points[best]) + self._say_of_trainings() * self._engine.sample(
            points[best]
        )
        return worth

    def _say_of_trainings(self) -> float:
        """Give how much of what separate trainings say beside the prior is believed, from 0 to 1.

        Short trainings mislead too: before a network has learned more by itself than it inherits, they rank by how
        quickly networks start. So they count for nothing until they are ahead of the supernet's weights, and then as
        far as they show the screening to mislead: as far as it is likely that they follow it by less than
        `MISLEADING` of what was expected. Where nothing was inherited they are believed in full.

        Source:
            NAS-Bench-Macro at 60 M, 20 minutes: 35 networks trained for 3 core-seconds each had tau -.36 with the
            truth, 22 of them trained for 9 had -.30, and the supernet that scored higher accuracies .66 and .58.
        """
        if self._prior is None:
            return 1.0
        mean, deviation = self._engine.surrogate().feature_weights()
        slope = self._prior.slope
        follows_too_little = (MISLEADING * slope - slope - mean[SCREEN_FEATURE]) / (
            deviation[SCREEN_FEATURE] + 1e-12
        )
        say = LEAST_SAY + (1 - LEAST_SAY) * float(ndtr(follows_too_little))
        return say * self._prior.share_learned(self._trained_errors)

    def _offset(self, points: IntArray) -> FloatArray:
        return np.zeros(len(points)) if self._prior is None else self._prior.offset(points)

    def _candidates_for(self, budget_index: int) -> IntArray | None:
        """Give what a proposal may choose from: what was screened, or anything inside the budget."""
        if self._candidates is None and not self._has_cap:
            return None
        points = self._candidates
        if points is None:
            points = self._draw(CAP_DRAWS, least_share=0.0)  # the whole front is wanted, not its dear end
        costs = self._problem.costs(points)
        points = points[costs.inside(self._problem.budgets[budget_index])]
        if self._has_cap and len(points):
            # A bound between the cheapest and the dearest, another for each proposal, spreads them along the front.
            values = getattr(self._problem.costs(points), self._measure).astype(np.float64)
            points = points[values <= np.quantile(values, self._rng.uniform(0.05, 1.0))]
        return points if len(points) else None

    def _features(self, points: IntArray) -> FloatArray:
        known = network_features(self._problem, points)
        return known if self._prior is None else np.concatenate([known, self._prior.features(points)], axis=1)

    def _costs(self, points: IntArray) -> FloatArray:
        """Give what the first bound counts; more than any budget where another bound, the same in all, is broken."""
        costs = self._problem.costs(points)
        (name, limit), *others = self._problem.budget.limits().items()
        counts = getattr(costs, name).astype(np.float64)
        for other, other_limit in others:
            excess = getattr(costs, other) / other_limit
            counts = np.where(excess > 1, np.maximum(counts, excess * limit), counts)
        return np.asarray(counts, dtype=np.float64)

    def _network_at(self, point: Point) -> str:
        return network_hash(
            self._space.spec_at(
                point, resolution=self._problem.resolution, num_classes=self._problem.num_classes
            )
        )

    def _draw(self, num_points: int, least_share: float = UPPER_SHARE) -> IntArray:
        return draw_inside(
            self._space,
            self._problem.budgets[int(self._rng.integers(len(self._problem.budgets)))],
            num_points,
            resolution=self._problem.resolution,
            num_classes=self._problem.num_classes,
            rng=self._rng,
            least_share=least_share,
        )
