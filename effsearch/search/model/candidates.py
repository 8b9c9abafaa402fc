"""Which points of a space are worth a look before the next training?

All that are inside the budget where the space is small; elsewhere draws from the upper part of the budget, and what
mutation and crossover make of the best. Costs are exact and free, so nothing outside the budget is ever handed out.
"""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from effsearch.search.model.kernel import FloatArray, IntArray
from effsearch.space.errors import BudgetError
from effsearch.space.screening import UPPER_SHARE

Costs = Callable[[IntArray], FloatArray]
Values = Callable[[IntArray], FloatArray]
Canonical = Callable[[tuple[int, ...]], Hashable]

SMALL_SPACE = 20_000  # points; up to here all are looked at
DRAWS = 2_048  # at a time
NUM_PULLS = 200  # steps towards cheaper choices before a draw is given up
POOL = 512  # candidates kept of a large space
NUM_PARENTS = 48
NUM_CHILDREN = 384
NUM_GENERATIONS = 4
BANK_ASKS = 32  # for which one set of draws serves


class Candidates:
    """A space of choices as its costs see it.

    Args:
        num_choices: Of each dimension.
        costs: What the budgets count, for many points at once; None if nothing is counted.
        canonical: Two points with one form are one; the point itself if None.
        draw_inside: Gives so many points to start from, instead of uniform ones.
        rng: Source of all draws.
    """

    def __init__(
        self,
        num_choices: Sequence[int],
        *,
        costs: Costs | None,
        canonical: Canonical | None,
        draw_inside: Callable[[int], IntArray] | None,
        rng: np.random.Generator,
    ) -> None:
        self.num_choices = np.asarray(num_choices, dtype=np.int64)
        self._costs = costs
        self._canonical = canonical
        self._draw_inside = draw_inside
        self._rng = rng
        self._keys: dict[tuple[int, ...], Hashable] = {}
        self._first: dict[Hashable, tuple[int, ...]] = {}
        self._whole: tuple[IntArray, FloatArray, dict[Hashable, int]] | None = None
        self._elites: dict[float | None, IntArray] = {}
        self._banks: dict[float | None, IntArray] = {}
        self._num_pools = 0

    @property
    def is_small(self) -> bool:
        """Whether all points can be looked at."""
        return math.prod(int(number) for number in self.num_choices) <= SMALL_SPACE

    def key(self, point: Sequence[int]) -> Hashable:
        """Give the canonical form of a point."""
        plain = tuple(int(choice) for choice in point)
        if self._canonical is None or min(plain, default=0) < 0:
            return plain
        if plain not in self._keys:
            self._keys[plain] = self._canonical(plain)
        return self._keys[plain]

    def representative(self, point: Sequence[int]) -> tuple[int, ...]:
        """Give the one point that stands for all of its form, so that the model sees them as one."""
        plain = tuple(int(choice) for choice in point)
        if self._canonical is None or min(plain, default=0) < 0:
            return plain
        form = self.key(plain)
        if self.is_small:
            points, _, rows = self._enumerated()
            return tuple(points[rows[form]].tolist())
        return self._first.setdefault(form, plain)

    def costs(self, points: IntArray) -> FloatArray:
        """Give what points cost; nothing where nothing is counted."""
        if self._costs is None or not len(points):
            return np.zeros(len(points))
        return np.asarray(self._costs(points), dtype=np.float64)

    def inside(self, points: IntArray, budget: float | None) -> IntArray:
        """Give those of the points that a budget allows."""
        return points if budget is None else points[self.costs(points) <= budget]

    def new(self, points: IntArray, taken: set[Hashable], *, most: int | None = None) -> IntArray:
        """Give the points whose form is not taken, each form once, in their order."""
        found, forms = list[int](), set[Hashable]()
        for index, point in enumerate(map(tuple, points.tolist())):
            form = point if self._canonical is None else self.key(point)
            if form not in taken and form not in forms:
                forms.add(form)
                found.append(index)
                if len(found) == most:
                    break
        return points[found]

    def every(self, budget: float | None, taken: set[Hashable]) -> IntArray:
        """Give all points of a small space that are inside a budget and not taken, each form once."""
        points, costs, rows = self._enumerated()
        allowed = np.ones(len(points), dtype=bool) if budget is None else costs <= budget
        allowed[[rows[form] for form in taken if form in rows]] = False
        return points[allowed]

    def start_up(self, budget: float | None, taken: set[Hashable], number: int) -> IntArray:
        """Give random new points of the upper part of a budget, of all of it where that part is empty.

        Raises:
            BudgetError: Nothing fits at all.
        """
        if self.is_small:
            points = self.every(budget, taken)
            if not len(points) and not len(self.every(budget, set())):
                self._refuse(budget)
            points = points[self._rng.permutation(len(points))]
        else:
            points = self.new(self._draws(budget), taken)
        if budget is not None and len(points):
            upper = points[self.costs(points) >= UPPER_SHARE * budget]
            points = upper if len(upper) else points
        return points[:number]

    def pool(self, budget: float | None, taken: set[Hashable], *, guide: Values, best: IntArray) -> IntArray:
        """Give new points of a large space that a guide holds for good.

        Args:
            budget: Nothing dearer is given.
            taken: Forms that are not new.
            guide: Cheap estimate of the score.
            best: Points inside the budget that have done well, parents of others.
        """
        elite = self._elites.get(budget, best[:0])
        points = np.unique(np.concatenate([self._from_bank(budget), best, elite]), axis=0)
        values = guide(points)
        for _ in range(NUM_GENERATIONS):
            order = np.argsort(-values, kind="stable")[:POOL]
            points, values = points[order], values[order]
            children = np.unique(self._children(points[:NUM_PARENTS]), axis=0)
            children = self.inside(children, budget)
            children = children[~_is_among(children, points)]
            points = np.concatenate([points, children])
            values = np.concatenate([values, guide(children)])
        points = points[np.argsort(-values, kind="stable")]
        self._elites[budget] = points[:NUM_PARENTS]
        return self.new(points, taken, most=POOL)

    def _enumerated(self) -> tuple[IntArray, FloatArray, dict[Hashable, int]]:
        if self._whole is None:
            number = math.prod(int(choices) for choices in self.num_choices)
            indices = np.unravel_index(np.arange(number), tuple(self.num_choices.tolist()))
            points = (
                np.stack(indices, axis=1).astype(np.int64) if len(indices) else np.zeros((1, 0), np.int64)
            )
            points = self.new(self._dear_first(points), set())
            rows = {self.key(point): row for row, point in enumerate(points.tolist())}
            self._whole = points, self.costs(points), rows
        return self._whole

    def _dear_first(self, points: IntArray) -> IntArray:
        """Order points so that among equivalent ones that with the dear choices first leads.

        What a network leaves out is then left out at the end, however the choices are numbered. The other way round
        cost NAS-Bench-Macro .04 of regret after 50 trainings.
        """
        if self._canonical is None:
            return points
        ranks = []
        for column, number in enumerate(self.num_choices):
            rivals = np.zeros((number, len(self.num_choices)), dtype=np.int64)
            rivals[:, column] = np.arange(number)
            costs = self.costs(rivals) if self._costs is not None else np.arange(number)
            ranks.append(np.argsort(np.argsort(costs, kind="stable"))[points[:, column]])
        return points[np.lexsort(ranks[::-1])[::-1]]

    def _from_bank(self, budget: float | None) -> IntArray:
        """Some of the random points inside a budget that are drawn once for many asks: costs take time."""
        if budget not in self._banks or self._num_pools % BANK_ASKS == 0:
            self._banks[budget] = self._draws(budget)
        self._num_pools += 1
        bank = self._banks[budget]
        return bank[self._rng.permutation(len(bank))[:NUM_CHILDREN]]

    def _draws(self, budget: float | None) -> IntArray:
        """Random points inside a budget; dear ones are pulled in by cheaper choices."""
        if self._draw_inside is not None:
            points = np.asarray(self._draw_inside(DRAWS // 4), dtype=np.int64)
        else:
            points = self._rng.integers(self.num_choices, size=(DRAWS, len(self.num_choices)))
        if budget is None:
            return points
        costs = self.costs(points)
        if np.count_nonzero(costs <= budget) >= NUM_PARENTS:
            return points[costs <= budget]
        return self._pulled_in(points[:NUM_CHILDREN], budget)

    def _pulled_in(self, points: IntArray, budget: float) -> IntArray:
        points, costs = points.copy(), self.costs(points)
        for step in range(NUM_PULLS):
            dear = np.flatnonzero(costs > budget)
            if not len(dear) or (step >= NUM_PULLS // 2 and len(dear) < len(points) // 2):
                break
            rivals = points[dear]
            column = self._rng.integers(len(self.num_choices), size=len(dear))
            rivals[np.arange(len(dear)), column] = self._rng.integers(self.num_choices[column])
            rival_costs = self.costs(rivals)
            better = rival_costs < costs[dear]
            points[dear[better]], costs[dear[better]] = rivals[better], rival_costs[better]
        if not (costs <= budget).any():
            cheapest = self._cheapest(points[np.argmin(costs)])
            if not len(self.inside(cheapest[None], budget)):
                self._refuse(budget, float(self.costs(cheapest[None])[0]))
            return cheapest[None]
        return points[costs <= budget]

    def _cheapest(self, point: IntArray) -> IntArray:
        """Choose each dimension in turn until nothing gets cheaper."""
        while True:
            before = point
            for column, number in enumerate(self.num_choices):
                rivals = np.repeat(point[None], number, axis=0)
                rivals[:, column] = np.arange(number)
                point = rivals[np.argmin(self.costs(rivals))]
            if (point == before).all():
                return point

    def _refuse(self, budget: float | None, least: float | None = None) -> None:
        least = float(self._enumerated()[1].min()) if least is None else least
        raise BudgetError(
            f"no point of the space fits a budget of {budget:g}: the cheapest found costs {least:g}"
        )

    def _children(self, parents: IntArray) -> IntArray:
        """Mutations of one to three choices, half of them after a crossover."""
        one = parents[self._rng.integers(len(parents), size=NUM_CHILDREN)]
        other = parents[self._rng.integers(len(parents), size=NUM_CHILDREN)]
        is_crossed = self._rng.random(NUM_CHILDREN) < 0.5
        take = (self._rng.random(one.shape) < 0.5) & is_crossed[:, None]
        children = np.where(take, other, one)
        rows = np.arange(NUM_CHILDREN)
        for step in range(3):
            rows = rows[self._rng.random(len(rows)) < (0.8 if step == 0 else 0.6)]
            column = self._rng.integers(len(self.num_choices), size=len(rows))
            children[rows, column] = self._rng.integers(self.num_choices[column])
        return children


def _is_among(points: IntArray, others: IntArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    known = set(map(tuple, others.tolist()))
    return np.fromiter((tuple(point) in known for point in points.tolist()), dtype=bool, count=len(points))
