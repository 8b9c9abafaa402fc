import numpy as np
import pytest

from effsearch.search.screening.focus import choose_best
from effsearch.space.search_space import Point

EXPECTED: dict[Point, float] = {(0,): 0.1, (1,): 0.9, (2,): 0.5, (3,): 0.7, (4,): 0.2}


def test_of_one_group_the_best_come_first() -> None:
    assert choose_best(EXPECTED, [list(EXPECTED)], number=3) == [(1,), (3,), (2,)]
    assert choose_best(EXPECTED, [list(EXPECTED)], number=99) == [(1,), (3,), (2,), (4,), (0,)]


def test_every_group_has_its_best_before_any_has_its_second() -> None:
    groups: list[list[Point]] = [[(0,), (4,)], [(1,), (2,), (3,)]]
    assert choose_best(EXPECTED, groups, number=3) == [(4,), (1,), (0,)]


def test_a_point_of_several_groups_is_given_once() -> None:
    groups: list[list[Point]] = [[(0,), (2,)], [(0,), (2,), (3,)], []]
    assert choose_best(EXPECTED, groups, number=4) == [(2,), (3,), (0,)]


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_left_without_its_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected: dict[Point, float] = {(index,): float(rng.random()) for index in range(40)}
    groups = [[(int(index),) for index in rng.choice(40, size=15, replace=False)] for _ in range(3)]
    chosen = choose_best(expected, groups, number=12)
    assert len(chosen) == len(set(chosen)) == 12
    for group in groups:
        assert set(sorted(group, key=lambda point: -expected[point])[:4]) <= set(chosen)
