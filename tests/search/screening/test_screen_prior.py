import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from effsearch.search.screening.screen_prior import (
    AHEAD,
    NASWOT_WEIGHT,
    OWN_SHARE,
    SPREAD_WITHOUT_ACCURACY,
    TRUST,
    ScreenPrior,
    joined,
)
from effsearch.space.screening import sample_points
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.supernet_work import ScreenScore

WIDTHS = np.arange(6, dtype=np.int64)[:, None]  # every point of the space of six


def scored(loss: float | None, *, accuracy: float | None = None, naswot: float = 0.0) -> ScreenScore:
    return ScreenScore(naswot=naswot, val_loss=loss, val_accuracy=accuracy, core_seconds=0.1)


def by_width(*losses: float) -> dict[Point, ScreenScore]:
    return {(index,): scored(loss) for index, loss in enumerate(losses)}


def test_naswot_is_joined_to_the_supernets_score_at_its_weight() -> None:
    scores = {(0,): scored(2.0, naswot=10.0), (1,): scored(1.0, naswot=10.0), (2,): scored(1.5, naswot=40.0)}
    losses, naswot = np.array([2.0, 1.0, 1.5]), np.array([10.0, 10.0, 40.0])
    both = -(losses - 1.5) / losses.std() + NASWOT_WEIGHT * (naswot - 20) / naswot.std()
    assert list(joined(scores).values()) == pytest.approx((both / both.std()).tolist())


def test_networks_without_a_supernets_score_are_ranked_by_naswot_alone() -> None:
    scores = {(0,): scored(0.1, naswot=1.0), (1,): scored(None, naswot=3.0)}
    assert joined(scores) == {(0,): -1.0, (1,): 1.0}
    assert joined({}) == {}


@pytest.mark.parametrize(("error", "share"), [(0.6, 0.0), (0.4, 0.0), (0.34, 0.5), (0.28, 1.0), (0.1, 1.0)])
def test_trainings_count_as_far_as_they_are_ahead_of_what_was_inherited(
    widths: SearchSpace, error: float, share: float
) -> None:
    """The supernet's weights get .4 wrong; at .28, which is `AHEAD` of that, a training counts in full."""
    assert AHEAD == 0.7
    scores = {(index,): scored(1.0 + index, accuracy=0.6) for index in range(3)}
    prior = ScreenPrior(widths, scores)
    assert prior.share_learned({(0,): error, (1,): error, (5,): 1.0}) == pytest.approx(share)


def test_where_nothing_was_inherited_trainings_count_in_full(widths: SearchSpace) -> None:
    by_naswot = ScreenPrior(widths, {(index,): scored(None, naswot=1.0 * index) for index in range(3)})
    assert by_naswot.share_learned({(0,): 0.9}) == 1.0
    by_loss = ScreenPrior(widths, {(index,): scored(1.0 + index, accuracy=0.6) for index in range(3)})
    assert by_loss.share_learned({}) == by_loss.share_learned({(5,): 0.9}) == 1.0


def test_few_scores_are_taken_as_they_are(widths: SearchSpace) -> None:
    expected = ScreenPrior(widths, by_width(3.0, 2.0, 1.0)).expected(WIDTHS)
    assert expected[:3] == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])  # less loss is more
    assert expected[3:].tolist() == [0.0, 0.0, 0.0]  # not screened


def test_the_offset_has_the_spread_of_the_screenings_accuracies_times_the_trust(widths: SearchSpace) -> None:
    scores = {
        (0,): scored(2.0, accuracy=0.5),
        (1,): scored(1.8, accuracy=0.6),
        (2,): scored(1.6, accuracy=0.7),
    }
    prior = ScreenPrior(widths, scores)
    assert prior.offset(WIDTHS)[:3].std() == pytest.approx(TRUST * np.std([0.5, 0.6, 0.7]))
    assert prior.offset(WIDTHS)[:3].mean() == pytest.approx(0.0, abs=1e-12)


def test_zero_cost_scores_alone_get_a_spread_of_their_own(widths: SearchSpace) -> None:
    scores = {(index,): scored(None, naswot=100.0 * index) for index in range(3)}
    offset = ScreenPrior(widths, scores).offset(WIDTHS)
    assert offset[:3].std() == pytest.approx(TRUST * SPREAD_WITHOUT_ACCURACY)
    assert offset[2] > offset[1] > offset[0]


def test_scores_that_are_all_alike_say_nothing(widths: SearchSpace) -> None:
    prior = ScreenPrior(widths, by_width(1.0, 1.0, 1.0))
    assert prior.offset(WIDTHS).tolist() == [0.0] * 6
    assert prior.features(WIDTHS).tolist() == [[0.0, 0.0]] * 6


def test_features_are_the_expected_score_and_naswot_in_standard_deviations(widths: SearchSpace) -> None:
    scores = {(0,): scored(1.0, naswot=300.0), (1,): scored(2.0, naswot=100.0)}
    features = ScreenPrior(widths, scores).features(WIDTHS[:3])
    assert features.tolist() == [[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]]


@pytest.fixture(scope="module")
def many(macro: SearchSpace) -> tuple[dict[Point, float], NDArray[np.int64]]:
    """True losses of 150 points, and of as many others, from what single choices add."""
    rng = np.random.default_rng(0)
    points = np.unique(sample_points(macro, 300, rng=rng), axis=0)
    points = points[rng.permutation(len(points))]
    effects = rng.normal(size=(8, 3)) / 10
    losses = [2 + float(effects[range(8), point].sum()) for point in points]
    return {tuple(point): loss for point, loss in zip(points.tolist(), losses, strict=True)}, points


def test_many_scores_are_smoothed_and_tell_of_points_that_were_not_screened(
    macro: SearchSpace, many: tuple[dict[Point, float], NDArray[np.int64]]
) -> None:
    truth, points = many
    noise = np.random.default_rng(1).normal(size=150) / 10
    seen = {
        tuple(point): scored(truth[tuple(point)] + noise[index])
        for index, point in enumerate(points[:150].tolist())
    }
    prior = ScreenPrior(macro, seen)

    def agreement(some: NDArray[np.int64]) -> float:
        losses = [truth[tuple(point)] for point in some.tolist()]
        return -float(np.corrcoef(prior.expected(some), losses)[0, 1])

    raw = np.corrcoef([-score.value for score in seen.values()], [truth[point] for point in seen])[0, 1]
    assert agreement(points[:150]) > raw
    assert agreement(points[150:]) > 0.85


def test_a_second_score_is_believed_in_full(
    macro: SearchSpace, many: tuple[dict[Point, float], NDArray[np.int64]]
) -> None:
    truth, points = many
    again, once = tuple(points[7].tolist()), tuple(points[8].tolist())
    scores = {tuple(point): scored(truth[tuple(point)]) for point in points[:60].tolist()}
    scores[again] = dataclasses.replace(scored(1.0), is_second=True)
    scores[once] = scored(1.0)
    values = joined(scores)
    believed = ScreenPrior(macro, scores).expected(points[7:9])
    assert believed[0] == pytest.approx(values[again])
    assert believed[1] < values[once]


def test_an_outlier_is_believed_in_part(
    macro: SearchSpace, many: tuple[dict[Point, float], NDArray[np.int64]]
) -> None:
    """One of the 60 networks scores far better than its choices let one expect."""
    truth, points = many
    lucky, one = tuple(points[7].tolist()), points[7:8]
    scores = {tuple(point): scored(truth[tuple(point)]) for point in points[:60].tolist()}
    scores[lucky] = scored(1.0)
    values = np.array([score.value for score in scores.values()])
    own = (scores[lucky].value - values.mean()) / values.std()
    believed = ScreenPrior(macro, scores).expected(one)[0]
    del scores[lucky]
    by_choices = ScreenPrior(macro, scores).expected(one)[0]
    assert own - by_choices > 2
    assert by_choices + OWN_SHARE * (own - by_choices) <= believed < own
