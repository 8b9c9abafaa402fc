from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from effsearch.search.screening.guided import ENOUGH_TO_FIT, WAVE, as_points, guided_points
from effsearch.space.screening import sample_points
from effsearch.space.search_space import Point, SearchSpace

Draw = Callable[[int], NDArray[np.int64]]


def first_time() -> Callable[[Point], bool]:
    """Gives a function that says yes once for each point."""
    known: set[Point] = set()

    def is_new(point: Point) -> bool:
        fresh = point not in known
        known.add(point)
        return fresh

    return is_new


def start(space: SearchSpace, scored: dict[Point, float], seed: int = 0) -> Iterator[Point]:
    rng = np.random.default_rng(seed)
    return guided_points(
        space,
        lambda: scored,
        draw=lambda number: sample_points(space, number, rng=rng),
        is_new=first_time(),
        rng=rng,
    )


def worth(point: Point) -> float:
    return float(sum(choice == 1 for choice in point))


def take(points: Iterator[Point], scored: dict[Point, float], number: int) -> list[Point]:
    """Scores points as they come, as a caller does."""
    taken = []
    for point in islice(points, number):
        scored[point] = worth(point)
        taken.append(point)
    return taken


def test_no_point_is_given_twice(macro: SearchSpace) -> None:
    scored: dict[Point, float] = {}
    taken = take(start(macro, scored), scored, 250)
    assert len(set(taken)) == 250


def test_a_space_that_is_used_up_ends(widths: SearchSpace) -> None:
    scored: dict[Point, float] = {}
    taken = take(start(widths, scored), scored, 1_000)
    assert sorted(taken) == [(index,) for index in range(6)]


def test_points_are_random_until_there_are_enough_scores_and_then_half_of_them_are_the_best(
    macro: SearchSpace,
) -> None:
    scored: dict[Point, float] = {}
    taken = take(start(macro, scored), scored, ENOUGH_TO_FIT + 2 * WAVE)
    at_random, wave = taken[:ENOUGH_TO_FIT], taken[ENOUGH_TO_FIT:]
    usual = np.mean([worth(point) for point in at_random])
    assert usual == pytest.approx(8 / 3, abs=0.5)
    assert np.mean([worth(point) for point in wave[:WAVE]]) == pytest.approx(usual, abs=0.7)
    assert min(worth(point) for point in wave[WAVE:]) >= 4
    assert max(worth(point) for point in wave[WAVE:]) >= 7


def test_without_scores_nothing_guides(macro: SearchSpace) -> None:
    """A caller that cannot score, for want of time, still gets points."""
    points = list(islice(start(macro, {}), 200))
    assert np.mean([worth(point) for point in points]) == pytest.approx(8 / 3, abs=0.4)


def test_one_seed_gives_the_same_points(macro: SearchSpace) -> None:
    runs = []
    for seed in (1, 1, 2):
        scored: dict[Point, float] = {}
        runs.append(take(start(macro, scored, seed), scored, 140))
    assert runs[0] == runs[1] != runs[2]


def test_points_are_plain_tuples_of_integers() -> None:
    points = as_points(np.array([[1, 2], [3, 4]], dtype=np.int64))
    assert points == [(1, 2), (3, 4)]
    assert type(points[0][0]) is int
