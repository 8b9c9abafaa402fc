"""What does the budget cost a search: how much of it do the best networks use, and what would a larger one bring?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from effsearch.search.features import network_features
from effsearch.search.model.candidates import SMALL_SPACE, Candidates
from effsearch.search.model.kernel import FloatArray, IntArray
from effsearch.search.model.surrogate import Surrogate
from effsearch.search.problem import Problem
from effsearch.space.budget import Budget
from effsearch.space.screening import all_points

EXTRA_PERCENT = (10, 25, 50)
BINDS_FROM = 0.9  # share of a bound, on average over the best networks
NUM_BEST = 5  # trained networks that stand for the best
NUM_LIKED = 50  # networks of a pool that the model likes best, where that is no more than a tenth of them
NUM_DRAWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the model expects of a looser budget, in the score's units."""

    bounds: tuple[str, ...]  # what is loosened
    extra_percent: int
    gain: float  # of the best expected score
    deviation: float  # of that gain


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """How a budget is used, and what is liked inside it."""

    budget: Budget
    num_best: int  # trained networks that `shares` is the mean of; 0 where none fits
    shares: dict[str, float]  # of each bound
    binding: str | None  # the bound that is used most, where it is used nearly whole
    prices: tuple[Price, ...]
    liked: IntArray  # (num_liked, num_dimensions), trained or not, best first


def price_budget(
    model: Surrogate, problem: Problem, budget: Budget, trained: IntArray, *, rng: np.random.Generator
) -> BudgetUse:
    """Give how a budget is used and what a larger one is expected to bring.

    Args:
        model: Of scores, with `network_features`.
        problem: What was searched.
        budget: One of its budgets.
        trained: (num_networks, num_dimensions) the distinct points that have a score.
        rng: Source of the draws.
    """
    best = _inside(problem, budget, _sorted(model, problem, trained))[:NUM_BEST]
    shares = _mean_shares(problem, budget, best)
    most = max(shares, key=lambda name: shares[name], default=None)
    names = tuple(budget.limits())
    groups = [names, *((name,) for name in names)] if len(names) > 1 else [names]
    looser = {
        (bounds, percent): _loosened(budget, bounds, percent)
        for bounds in groups
        for percent in EXTRA_PERCENT
    }
    # One set of points for all budgets: what differs between them is then the budget, not the luck of a search.
    found = _promising(model, problem, [budget, *looser.values()], parents=best, rng=rng)
    inside = _inside(problem, budget, found)
    prices = []
    for (bounds, percent), larger in looser.items():
        top = _inside(problem, larger, found)[0]
        gain, deviation = _difference(model, problem, inside[0], top, rng=rng)
        prices.append(Price(bounds=bounds, extra_percent=percent, gain=gain, deviation=deviation))
    return BudgetUse(
        budget=budget,
        num_best=len(best),
        shares=shares,
        binding=most if most is not None and shares[most] >= BINDS_FROM else None,
        prices=tuple(prices),
        liked=inside[: min(NUM_LIKED, -(-len(inside) // 10))],
    )


def _mean_shares(problem: Problem, budget: Budget, best: IntArray) -> dict[str, float]:
    if not len(best):
        return {}
    costs = problem.costs(best)
    return {name: float(getattr(costs, name).mean() / limit) for name, limit in budget.limits().items()}


def _loosened(budget: Budget, bounds: Sequence[str], percent: int) -> Budget:
    limits = budget.limits()
    return budget.with_limits({name: limits[name] + limits[name] * percent // 100 for name in bounds})


def _expected(model: Surrogate, problem: Problem, points: IntArray) -> FloatArray:
    return model.mean(points, network_features(problem, points)) if len(points) else np.zeros(0)


def _sorted(model: Surrogate, problem: Problem, points: IntArray) -> IntArray:
    return points[np.argsort(-_expected(model, problem, points), kind="stable")]


def _inside(problem: Problem, budget: Budget, points: IntArray) -> IntArray:
    return points[problem.costs(points).inside(budget)]


def _shares(problem: Problem, budget: Budget, points: IntArray) -> FloatArray:
    return problem.costs(points).shares(budget)


def _promising(
    model: Surrogate,
    problem: Problem,
    budgets: Sequence[Budget],
    *,
    parents: IntArray,
    rng: np.random.Generator,
) -> IntArray:
    """Give points, the best expected first: all of a small space, else what a search finds inside each budget."""
    if problem.space.size <= SMALL_SPACE:
        return _sorted(model, problem, all_points(problem.space))
    found = [parents]
    for budget in budgets:
        candidates = Candidates(
            [len(dimension.labels) for dimension in problem.space.dimensions],
            costs=partial(_shares, problem, budget),
            canonical=None,
            draw_inside=None,
            rng=rng,
        )
        best = np.concatenate([points[:NUM_LIKED] for points in found])
        found.append(
            candidates.pool(1.0, set(), guide=lambda points: _expected(model, problem, points), best=best)
        )
    return _sorted(model, problem, np.unique(np.concatenate(found), axis=0))


def _difference(
    model: Surrogate, problem: Problem, one: IntArray, other: IntArray, *, rng: np.random.Generator
) -> tuple[float, float]:
    """Give by how much the second point's score is expected to be above the first's, and the deviation."""
    if (one == other).all():
        return 0.0, 0.0
    both = np.stack([one, other])
    mean = _expected(model, problem, both)
    draws = model.sample(both, network_features(problem, both), rng=rng, num_samples=NUM_DRAWS)
    return float(mean[1] - mean[0]), float((draws[:, 1] - draws[:, 0]).std())
