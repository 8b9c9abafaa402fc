"""Which networks are scored a second time when all have been scored once, and what do two scores of one come to?

Among the best the first scores can tell few apart. A second one, on more images, ranks them a little better; and a
supernet that has had much time ranks them better still after it was trained on for them alone, because one set of
weights suits none of a space's networks. docs/supernet.md has what was measured.
"""

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

import numpy as np

from effsearch.search.problem import Problem
from effsearch.search.screening.screen_prior import ScreenPrior
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore

FRONT_PARTS = 8  # of the costs, from each of which the best are taken where a front is wanted
LEAST_SECOND = 16  # scores; from fewer no mean and spread can be told


def choose_for_second_look(
    problem: Problem, first: Mapping[Point, ScreenScore], *, number: int, front_measure: str | None
) -> list[Point]:
    """Give the screened points of which most is expected, best first: in each budget, or all along a front.

    Args:
        problem: What is searched.
        first: Scores of the screening.
        number: How many to give at the most.
        front_measure: Of `space.screening.Costs`, along which a front is wanted; None: the best in each budget are.
    """
    points = list(first)
    array = np.asarray(points, dtype=np.int64)
    expected = dict(zip(points, ScreenPrior(problem.space, first).expected(array).tolist(), strict=True))
    costs = problem.costs(array)
    if front_measure is not None:
        order = np.argsort(getattr(costs, front_measure), kind="stable")
        groups = [[points[place] for place in part] for part in np.array_split(order, FRONT_PARTS)]
    else:
        groups = [
            [point for point, is_inside in zip(points, costs.inside(budget), strict=True) if is_inside]
            for budget in problem.budgets
        ]
    return choose_best(expected, groups, number=number)


def choose_best(
    expected: Mapping[Point, float], groups: Iterable[Sequence[Point]], *, number: int
) -> list[Point]:
    """Give the points of which most is expected: the best of each group, then the second of each, and so on.

    Args:
        expected: Of each point; higher is better.
        groups: Points that compete with each other; one may be in several.
        number: How many to give at the most.
    """
    ordered = [sorted(group, key=lambda point: -expected[point]) for group in groups]
    in_turn = [point for places in zip_longest(*ordered) for point in places if point is not None]
    return list(dict.fromkeys(in_turn))[:number]


def on_one_level(scores: ScreenScores) -> dict[Point, ScreenScore]:
    """Give one score of each network: the second where there are enough of them, on the level of the first ones.

    Other images, and weights that were trained on for some networks, make all of these better and lie further apart,
    which says nothing for any of them. So second losses and accuracies decide the order alone: they are moved and
    stretched to the mean and the spread of the same networks' first ones.
    """
    again = {point: score for point, score in scores.second.items() if point in scores.first}
    if len(again) < LEAST_SECOND:
        return dict(scores.first)
    before = [scores.first[point] for point in again]
    loss = _levelled([one.val_loss for one in again.values()], [one.val_loss for one in before])
    accuracy = _levelled([one.val_accuracy for one in again.values()], [one.val_accuracy for one in before])
    return scores.first | {
        point: dataclasses.replace(
            score,
            naswot=scores.first[point].naswot,
            val_loss=loss(score.val_loss),
            val_accuracy=accuracy(score.val_accuracy),
        )
        for point, score in again.items()
    }


def _levelled(
    values: Sequence[float | None], before: Sequence[float | None]
) -> Callable[[float | None], float | None]:
    """Give what puts some values on the mean and the spread of others."""
    new, old = ([one for one in some if one is not None] for some in (values, before))
    if not new or not old:
        return lambda value: value
    new_mean, old_mean = statistics.fmean(new), statistics.fmean(old)
    spread = statistics.pstdev(new)
    stretch = statistics.pstdev(old) / spread if spread > 0 else 1.0
    return lambda value: None if value is None else old_mean + stretch * (value - new_mean)
