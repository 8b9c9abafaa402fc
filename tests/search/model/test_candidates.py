import numpy as np
import pytest

from effsearch.search.model import candidates as candidates_module
from effsearch.search.model.candidates import Candidates, Canonical
from effsearch.space.errors import BudgetError


def total(points: np.ndarray) -> np.ndarray:
    return points.sum(axis=1).astype(float)


def make(num_choices: list[int], *, canonical: Canonical | None = None) -> Candidates:
    rng = np.random.default_rng(0)
    return Candidates(num_choices, costs=total, canonical=canonical, draw_inside=None, rng=rng)


def test_a_small_space_gives_every_form_inside_once() -> None:
    space = make([3, 3], canonical=lambda point: tuple(sorted(point)))
    points = space.every(2.0, {(0, 1)})
    assert sorted(map(tuple, points.tolist())) == [(0, 0), (1, 1), (2, 0)]
    assert space.representative((0, 2)) == (2, 0)


def test_the_dear_choices_of_equivalent_points_come_first_however_they_are_numbered() -> None:
    prices = np.asarray([2.0, 0.0, 1.0])
    space = Candidates(
        [3, 3],
        costs=lambda points: prices[points].sum(axis=1),
        canonical=lambda point: tuple(sorted(point)),
        draw_inside=None,
        rng=np.random.default_rng(0),
    )
    assert space.representative((1, 0)) == (0, 1)
    assert space.representative((1, 2)) == (2, 1)


def test_start_up_uses_the_upper_part_of_the_budget() -> None:
    costs = total(make([4] * 6).start_up(10.0, set(), 40))
    assert len(costs) == 40
    assert ((costs >= 8) & (costs <= 10)).all()


def test_start_up_takes_what_fits_where_the_upper_part_is_empty() -> None:
    assert make([2, 2]).start_up(30.0, set(), 9).shape == (4, 2)


@pytest.mark.parametrize("num_dimensions", [2, 40])
def test_a_budget_that_nothing_fits_is_refused(num_dimensions: int) -> None:
    with pytest.raises(
        BudgetError, match="no point of the space fits a budget of -1: the cheapest found costs 0"
    ):
        make([3] * num_dimensions).start_up(-1.0, set(), 5)


def test_a_budget_that_uniform_draws_never_meet_is_met() -> None:
    points = make([5] * 40).start_up(12.0, set(), 20)
    assert len(points) > 0
    assert (total(points) <= 12).all()


def test_the_pool_follows_its_guide_inside_the_budget() -> None:
    space = make([4] * 20)
    weights = np.linspace(1, 2, 20)
    taken = {(0,) * 20}
    pool = space.pool(
        30.0, taken, guide=lambda points: points @ weights, best=np.zeros((1, 20), dtype=np.int64)
    )
    assert (total(pool) <= 30).all()
    assert len({tuple(point) for point in pool.tolist()} - taken) == len(pool)
    random = space.start_up(30.0, set(), 500)
    assert (pool[0] @ weights) > (random @ weights).max() + 1


def test_the_pool_draws_from_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates_module, "SMALL_SPACE", 0)
    space = Candidates(
        [3] * 4,
        costs=None,
        canonical=None,
        draw_inside=lambda number: np.full((number, 4), 2),
        rng=np.random.default_rng(0),
    )
    assert space.start_up(None, set(), 9).tolist() == [[2, 2, 2, 2]]
