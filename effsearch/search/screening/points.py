"""Which points is a supernet trained with, and which are scored with it?"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from effsearch.search.problem import Problem
from effsearch.search.screening.guided import as_points, guided_points
from effsearch.search.screening.screen_prior import joined
from effsearch.space.canonical import network_hash
from effsearch.space.screening import UPPER_SHARE, IntArray, draw_inside
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore

PATH_POOL = 4_096  # points that paths are drawn from
PATH_REACH = 2.0  # times the widest budget, for paths


def draw_paths(problem: Problem, rng: np.random.Generator) -> list[Point]:
    """Draw the pool of paths from all that costs up to `PATH_REACH` times the widest budget.

    Larger networks than any candidate train every place more often: on NAS-Bench-Macro paths from the whole space
    ranked the networks between 40 and 50 M better (tau .67) than paths drawn among these alone (.61), both after 300
    core-seconds, though the larger ones took a quarter fewer steps.
    """
    points = draw_inside(
        problem.space,
        problem.budget.times(PATH_REACH),
        PATH_POOL,
        resolution=problem.resolution,
        num_classes=problem.num_classes,
        rng=rng,
    )
    return as_points(points)


def points_to_score(
    problem: Problem,
    scores: Mapping[Point, ScreenScore],
    *,
    anchors: list[Point],
    num_points: int,
    rng: np.random.Generator,
    wants_front: bool,
) -> Iterator[Point]:
    """Yield the anchors' points, then others inside the budgets, no network twice.

    Args:
        problem: What is searched.
        scores: So far; there are more as the caller takes points.
        anchors: Points that come first.
        num_points: How many to yield at the most.
        rng: Draws.
        wants_front: Whether cheap networks are wanted as much as those that use their budget up.
    """

    def network_at(point: Point) -> str:
        spec = problem.space.spec_at(point, resolution=problem.resolution, num_classes=problem.num_classes)
        return network_hash(spec)

    known = {network_at(point) for point in scores}

    def is_new(point: Point) -> bool:
        network = network_at(point)
        if network in known:
            return False
        known.add(network)
        return True

    def draw(number: int) -> IntArray:
        return draw_inside(
            problem.space,
            problem.budgets[int(rng.integers(len(problem.budgets)))],
            number,
            resolution=problem.resolution,
            num_classes=problem.num_classes,
            rng=rng,
            least_share=0.0 if wants_front else UPPER_SHARE,
        )

    guided = guided_points(problem.space, lambda: joined(scores), draw=draw, is_new=is_new, rng=rng)
    first = [point for point in anchors if is_new(point)]
    yield from itertools.islice(itertools.chain(first, guided), num_points)
