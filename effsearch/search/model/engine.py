"""Which point is trained next, given all trainings so far?

Works on arrays of choice indices with exact, vectorised costs, so that thousands of candidates are compared for each
training. A start-up design is spread over the upper part of the budget; then the point is taken whose training
is expected to raise the best known score the most.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from scipy.special import ndtr

from effsearch.search.model.candidates import Candidates, Canonical, Costs
from effsearch.search.model.kernel import FloatArray, IntArray
from effsearch.search.model.surrogate import Surrogate, fit_surrogate
from effsearch.search.model.told import Scores, Told, joined

Acquire = Callable[[IntArray], FloatArray]
Features = Callable[[IntArray], FloatArray]

NUM_STARTUP = 8
SPREAD_DRAWS = 64  # of which a start-up point is the one farthest from all others
SHORTLIST = 512  # candidates by mean, of which deviations are worked out
NUM_BEST = 24  # parents of new candidates
NUM_TOLD = 256  # highest scores among which the best known point is looked for


class ThompsonEngine:
    """A search over a space of choices: told scores, it proposes points.

    Args:
        num_choices: Of each dimension.
        positions: Of each dimension the places of its choices on a line where they are ordered, None where not.
        costs: What the budgets count, for many points at once.
        budgets: Nothing dearer is proposed; each proposal serves the next in turn. None or empty: no bound.
        features: Numbers known without training, for many points at once.
        canonical: Two points with one form are one and are never both proposed.
        seed: Of all draws.
        draw_inside: Gives so many points to start from, instead of uniform ones.
        num_startup: Scores to wait for before the model proposes.
    """

    def __init__(
        self,
        num_choices: Sequence[int],
        positions: Sequence[FloatArray | None],
        *,
        costs: Costs | None = None,
        budgets: Sequence[float] | float | None = None,
        features: Features | None = None,
        canonical: Canonical | None = None,
        seed: int | None = None,
        draw_inside: Callable[[int], IntArray] | None = None,
        num_startup: int = NUM_STARTUP,
    ) -> None:
        bounds = [budgets] if isinstance(budgets, int | float) else list(budgets or [])
        self.budgets: tuple[float | None, ...] = tuple(bounds) if costs is not None and bounds else (None,)
        self._rng = np.random.default_rng(seed)
        self._candidates = Candidates(
            num_choices, costs=costs, canonical=canonical, draw_inside=draw_inside, rng=self._rng
        )
        self._num_choices = tuple(int(number) for number in num_choices)
        self._positions = tuple(positions)
        self._features = features
        self._num_startup = num_startup
        self._told = Told(len(self._num_choices))
        self._costs = np.zeros(0)  # of the points told, as far as they have been asked for
        self._taken: set[Hashable] = set()
        self._pending: dict[Hashable, tuple[int, ...]] = {}
        self._turn = 0
        self._surrogate: Surrogate | None = None
        self._num_fitted = -1

    @property
    def num_told(self) -> int:
        """Scores told so far."""
        return len(self._told)

    def tell(self, point: Sequence[int], value: float | None, *, rung: int = 0) -> None:
        """Take how a training ended; None for a failure, after which the point is not proposed again."""
        plain = tuple(int(choice) for choice in point)
        form = self._candidates.key(plain)
        self._taken.add(form)
        self._pending.pop(form, None)
        plain = self._candidates.representative(plain)
        if value is not None and np.isfinite(value):
            self._told.add(self._scored(np.asarray([plain], dtype=np.int64), [value], rung=rung))

    def mark_pending(self, point: Sequence[int]) -> None:
        """Never propose a point again: it is being trained."""
        plain = tuple(int(choice) for choice in point)
        form = self._candidates.key(plain)
        if form not in self._taken:
            self._taken.add(form)
            self._pending[form] = plain

    def forget_taken(self) -> None:
        """Let every point be proposed that is told so far: its scores are of another run."""
        self._taken.clear()
        self._pending.clear()

    def forget_pending(self) -> None:
        """Take no point for being trained, until it is marked again."""
        self._taken -= self._pending.keys()
        self._pending.clear()

    def propose(
        self,
        *,
        budget_index: int | None = None,
        candidates: IntArray | None = None,
        acquire: Acquire | None = None,
        guide: Acquire | None = None,
    ) -> tuple[int, ...] | None:
        """Give a new point inside the budget, or None where there is no other.

        Args:
            budget_index: Which budget it serves; the next in turn if None.
            candidates: Points to choose among; the whole space if None.
            acquire: Worth of training each of some points, instead of the expected rise.
            guide: Quick estimate that leads the draws of a large space, instead of the expected score.

        Raises:
            BudgetError: No point of the space fits.
        """
        if budget_index is None:
            budget_index, self._turn = self._turn % len(self.budgets), self._turn + 1
        budget = self.budgets[budget_index]
        if self.num_told < self._num_startup:
            point = self._spread_out(budget, candidates)
        else:
            point = self._best_by_model(budget, candidates, acquire, guide)
        return None if point is None else tuple(int(choice) for choice in point)

    def repeat(self, *, budget_index: int = 0) -> tuple[int, ...] | None:
        """Give a point that was trained before and may be the best, to train it once more."""
        seen = self._best_told(self.budgets[budget_index])
        if not len(seen):
            return None
        free = [index for index, point in enumerate(seen) if self._candidates.key(point) not in self._pending]
        seen = seen[free] if free else seen
        draw = self.surrogate().sample(seen, self._feature_array(seen), rng=self._rng)[0]
        return tuple(int(choice) for choice in seen[np.argmax(draw)])

    def surrogate(self) -> Surrogate:
        """Give the model of all scores told so far."""
        if self._surrogate is None or self._num_fitted != self.num_told:
            self._surrogate = self._fitted(self._told.scores())
            self._num_fitted = self.num_told
        return self._surrogate

    def fit_anew(self) -> None:
        """Forget the model, so that its sizes are next estimated from the scores alone and not from earlier sizes."""
        self._surrogate, self._num_fitted = None, -1

    def representatives(self, points: IntArray) -> IntArray:
        """Give for each point the one that the model knows its form by."""
        found = [self._candidates.representative(point) for point in points.tolist()]
        return np.asarray(found, dtype=np.int64).reshape(points.shape)

    def posterior(self, points: IntArray) -> tuple[FloatArray, FloatArray]:
        """Give mean and deviation of the noise-free score at the top rung."""
        points = self.representatives(points)
        return self.surrogate().predict(points, self._feature_array(points))

    def mean(self, points: IntArray) -> FloatArray:
        """Give the expected score alone, which is much quicker."""
        return self.surrogate().mean(points, self._feature_array(points))

    def sample(self, points: IntArray) -> FloatArray:
        """Draw the noise-free scores of some points jointly."""
        draws = self.surrogate().sample(points, self._feature_array(points), rng=self._rng)
        return np.asarray(draws[0])

    def _spread_out(self, budget: float | None, candidates: IntArray | None) -> IntArray | None:
        if candidates is None:
            points = self._candidates.start_up(budget, self._taken, SPREAD_DRAWS)
        else:
            points = self._allowed(candidates, budget)
            points = points[self._rng.permutation(len(points))[:SPREAD_DRAWS]]
        if not len(points):
            return None
        pending = np.asarray(list(self._pending.values()), dtype=np.int64)
        others = np.concatenate([self._told.scores().points, pending.reshape(-1, len(self._num_choices))])
        if not len(others):
            return np.asarray(points[0])
        gaps = (points[:, None, :] != others[None, :, :]).sum(axis=2)
        return np.asarray(points[np.lexsort((-gaps.mean(axis=1), -gaps.min(axis=1)))[0]])

    def _best_by_model(
        self,
        budget: float | None,
        candidates: IntArray | None,
        acquire: Acquire | None,
        guide: Acquire | None,
    ) -> IntArray | None:
        model = self._with_pending()

        def expected(points: IntArray) -> FloatArray:
            return model.mean(points, self._feature_array(points)) if len(points) else np.zeros(0)

        if candidates is not None:
            points = self._allowed(candidates, budget)
        elif self._candidates.is_small:
            points = self._candidates.every(budget, self._taken)
        else:
            points = self._candidates.pool(
                budget, self._taken, guide=guide or expected, best=self._best_told(budget)[:NUM_BEST]
            )
        if not len(points):
            return None
        known = points if candidates is None else self.representatives(points)
        if acquire is not None:
            return np.asarray(points[np.argmax(acquire(known))])
        short = np.argsort(-expected(known), kind="stable")[:SHORTLIST]
        return np.asarray(points[short[np.argmax(self._expected_rise(model, known[short], budget))]])

    def _expected_rise(self, model: Surrogate, points: IntArray, budget: float | None) -> FloatArray:
        """How much one noisy training of each point is expected to raise the best posterior mean."""
        mean, deviation = model.predict(points, self._feature_array(points))
        noise = model.noise[-1]
        change = deviation**2 / np.sqrt(deviation**2 + noise**2) + 1e-9 * model.scaling.scale
        seen = self._best_told(budget)
        known = float(model.mean(seen, self._feature_array(seen)).max()) if len(seen) else mean.max()
        gap = (mean - known) / change
        return np.asarray(change * (gap * ndtr(gap) + np.exp(-gap * gap / 2) / np.sqrt(2 * np.pi)))

    def _with_pending(self) -> Surrogate:
        """The model as if every pending training had come out as a draw from it."""
        model = self.surrogate()
        if not self._pending:
            return model
        points = np.asarray(list(self._pending.values()), dtype=np.int64)
        told = self._told.scores()
        draw = model.sample(points, self._feature_array(points), rng=self._rng)[0]
        return self._fitted(joined([told, self._scored(points, draw, rung=int(told.rungs.max()))]))

    def _fitted(self, scores: Scores) -> Surrogate:
        return fit_surrogate(
            scores.points,
            scores.values,
            num_choices=self._num_choices,
            positions=self._positions,
            rungs=scores.rungs,
            features=None if self._features is None else scores.features,
            previous=self._surrogate,
        )

    def _scored(self, points: IntArray, values: Sequence[float] | FloatArray, *, rung: int) -> Scores:
        features = self._feature_array(points)
        return Scores(
            points=points,
            values=np.asarray(values, dtype=np.float64),
            rungs=np.full(len(points), rung, dtype=np.int64),
            features=np.zeros((len(points), 0)) if features is None else features,
        )

    def _allowed(self, points: IntArray, budget: float | None) -> IntArray:
        return self._candidates.new(self._candidates.inside(points, budget), self._taken)

    def _best_told(self, budget: float | None) -> IntArray:
        """The points of the highest scores, each once, inside a budget and without a missing choice."""
        told = self._told.scores()
        late = told.points[len(self._costs) :]
        if len(late):
            whole = (late >= 0).all(axis=1)
            costs = np.full(len(late), np.inf)
            costs[whole] = self._candidates.costs(late[whole])
            self._costs = np.concatenate([self._costs, costs])
        allowed = np.flatnonzero(np.isfinite(self._costs) if budget is None else self._costs <= budget)
        order = np.argsort(-told.values[allowed], kind="stable")[:NUM_TOLD]
        points = told.points[allowed[order]]
        _, first = np.unique(points, axis=0, return_index=True)
        return points[np.sort(first)]

    def _feature_array(self, points: IntArray) -> FloatArray | None:
        if self._features is None:
            return None
        return np.asarray(self._features(points), dtype=np.float64).reshape(len(points), -1)
