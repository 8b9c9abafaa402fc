import dataclasses

import numpy as np
import pytest

from effsearch.space.screen_scores import ScreenScores
from effsearch.space.supernet_work import ScreenScore

A, B, C = (0,), (1,), (2,)


def scored(loss: float | None, accuracy: float | None, *, naswot: float = 0.0) -> ScreenScore:
    return ScreenScore(naswot=naswot, val_loss=loss, val_accuracy=accuracy, core_seconds=0.1)


def again(loss: float, accuracy: float) -> ScreenScore:
    return dataclasses.replace(scored(loss, accuracy, naswot=99.0), is_second=True)


@pytest.fixture
def scores() -> ScreenScores:
    found = ScreenScores()
    for point, first in (
        (A, scored(1.0, 0.6, naswot=5.0)),
        (B, scored(1.2, 0.5, naswot=7.0)),
        (C, scored(2.0, 0.3)),
    ):
        found.add(point, first)
    return found


def test_without_second_scores_the_first_count(scores: ScreenScores) -> None:
    assert scores.on_one_level() == scores.first
    assert ScreenScores().on_one_level() == {}


def test_second_scores_decide_the_order_and_stay_where_the_first_ones_lay(scores: ScreenScores) -> None:
    scores.add(A, again(0.9, 0.6))
    scores.add(B, again(0.3, 0.9))
    found = scores.on_one_level()
    assert found[C] == scores.first[C]
    assert found[A].is_second
    assert [found[point].val_loss for point in (A, B)] == pytest.approx(
        [1.2, 1.0]
    )  # the first were 1.0 and 1.2
    assert [found[point].val_accuracy for point in (A, B)] == pytest.approx([0.5, 0.6])
    assert [found[point].naswot for point in (A, B)] == [5.0, 7.0]  # one draw of fresh weights for all
    assert scores.second[A].val_loss == 0.9  # what was measured stays


@pytest.mark.parametrize("seed", range(5))
def test_level_and_spread_are_those_of_the_first_and_the_order_that_of_the_second(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = ScreenScores()
    for index in range(20):
        scores.add((index,), scored(float(rng.random()), float(rng.random())))
        if index < 12:
            scores.add((index,), again(float(rng.random()) / 3, float(rng.random())))
    found = scores.on_one_level()
    for name in ("val_loss", "val_accuracy"):
        before, after, now = (
            [getattr(some[point], name) for point in scores.second]
            for some in (scores.first, scores.second, found)
        )
        assert np.argsort(now).tolist() == np.argsort(after).tolist()
        assert (np.mean(now), np.std(now)) == pytest.approx((np.mean(before), np.std(before)))
    assert [found[(index,)] for index in range(12, 20)] == [scores.first[(index,)] for index in range(12, 20)]


def test_second_scores_that_are_all_alike_are_only_moved(scores: ScreenScores) -> None:
    for point in (A, B):
        scores.add(point, again(0.3, 0.9))
    assert [scores.on_one_level()[point].val_loss for point in (A, B)] == pytest.approx([1.1, 1.1])


def test_a_second_score_of_what_has_no_first_is_left_out(scores: ScreenScores) -> None:
    scores.add((9,), again(0.1, 0.9))
    assert scores.on_one_level() == scores.first


def test_the_level_is_taken_over_those_that_have_both(scores: ScreenScores) -> None:
    scores.add(C, again(0.4, 0.7))
    found = scores.on_one_level()
    assert found[C].val_loss == pytest.approx(2.0)
    assert found[C].val_accuracy == pytest.approx(0.3)
