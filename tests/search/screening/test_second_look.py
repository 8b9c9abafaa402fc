import dataclasses

import numpy as np
import pytest

from effsearch.search.screening import second_look
from effsearch.search.screening.second_look import choose_best, on_one_level
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore

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


# Two scores of one network.

A, B, C = (0,), (1,), (2,)


def scored(loss: float | None, accuracy: float | None, *, naswot: float = 0.0) -> ScreenScore:
    return ScreenScore(naswot=naswot, val_loss=loss, val_accuracy=accuracy, core_seconds=0.1)


def again(loss: float, accuracy: float) -> ScreenScore:
    return dataclasses.replace(scored(loss, accuracy, naswot=99.0), is_second=True)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> ScreenScores:
    monkeypatch.setattr(second_look, "LEAST_SECOND", 1)
    found = ScreenScores()
    for point, first in (
        (A, scored(1.0, 0.6, naswot=5.0)),
        (B, scored(1.2, 0.5, naswot=7.0)),
        (C, scored(2.0, 0.3)),
    ):
        found.add(point, first)
    return found


def test_without_second_scores_the_first_count(scores: ScreenScores) -> None:
    assert on_one_level(scores) == scores.first
    assert on_one_level(ScreenScores()) == {}


def test_second_scores_decide_the_order_and_stay_where_the_first_ones_lay(scores: ScreenScores) -> None:
    scores.add(A, again(0.9, 0.6))
    scores.add(B, again(0.3, 0.9))
    found = on_one_level(scores)
    assert found[C] == scores.first[C]
    assert found[A].is_second
    assert [found[point].val_loss for point in (A, B)] == pytest.approx(
        [1.2, 1.0]
    )  # the first were 1.0 and 1.2
    assert [found[point].val_accuracy for point in (A, B)] == pytest.approx([0.5, 0.6])
    assert [found[point].naswot for point in (A, B)] == [5.0, 7.0]  # one draw of fresh weights for all
    assert scores.second[A].val_loss == 0.9  # what was measured stays


def test_few_second_scores_count_for_nothing(scores: ScreenScores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_look, "LEAST_SECOND", 3)
    scores.add(A, again(0.9, 0.6))
    scores.add(B, again(0.3, 0.9))
    assert on_one_level(scores) == scores.first
    scores.add(C, again(0.2, 0.9))
    assert all(score.is_second for score in on_one_level(scores).values())


@pytest.mark.parametrize("seed", range(5))
def test_level_and_spread_are_those_of_the_first_and_the_order_that_of_the_second(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = ScreenScores()
    for index in range(20):
        scores.add((index,), scored(float(rng.random()), float(rng.random())))
        if index < 17:
            scores.add((index,), again(float(rng.random()) / 3, float(rng.random())))
    found = on_one_level(scores)
    for name in ("val_loss", "val_accuracy"):
        before, after, now = (
            [getattr(some[point], name) for point in scores.second]
            for some in (scores.first, scores.second, found)
        )
        assert np.argsort(now).tolist() == np.argsort(after).tolist()
        assert (np.mean(now), np.std(now)) == pytest.approx((np.mean(before), np.std(before)))
    assert [found[(index,)] for index in range(17, 20)] == [scores.first[(index,)] for index in range(17, 20)]


def test_second_scores_that_are_all_alike_are_only_moved(scores: ScreenScores) -> None:
    for point in (A, B):
        scores.add(point, again(0.3, 0.9))
    assert [on_one_level(scores)[point].val_loss for point in (A, B)] == pytest.approx([1.1, 1.1])


def test_a_second_score_of_what_has_no_first_is_left_out(scores: ScreenScores) -> None:
    scores.add((9,), again(0.1, 0.9))
    assert on_one_level(scores) == scores.first


def test_the_level_is_taken_over_those_that_have_both(scores: ScreenScores) -> None:
    scores.add(C, again(0.4, 0.7))
    found = on_one_level(scores)
    assert found[C].val_loss == pytest.approx(2.0)
    assert found[C].val_accuracy == pytest.approx(0.3)
