import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from effsearch.search.validating import correlation
from effsearch.search.validating.correlation import Correlation, correlate_kendall, correlate_spearman

CORRELATIONS = (correlate_kendall, correlate_spearman)


def pair_by_pair(first: list[float], second: list[float]) -> float:
    """Tau-b by its definition."""
    products, squares = 0.0, [0.0, 0.0]
    for one, other in itertools.combinations(range(len(first)), 2):
        signs = [float(np.sign(scores[one] - scores[other])) for scores in (first, second)]
        products += signs[0] * signs[1]
        squares = [total + sign**2 for total, sign in zip(squares, signs, strict=True)]
    return products / math.sqrt(squares[0] * squares[1])


def test_tau_counts_pairs_and_ties_take_part_in_neither_score() -> None:
    first, second = [1.0, 2.0, 2.0, 4.0, 5.0], [2.0, 1.0, 3.0, 3.0, 9.0]
    assert correlate_kendall(np.array(first), np.array(second)).value == pytest.approx(
        pair_by_pair(first, second)
    )


def test_spearman_is_the_correlation_of_the_ranks() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 10.0]), np.array([1.0, 3.0, 2.0, 99.0])
    assert correlate_spearman(first, second).value == pytest.approx(1 - 6 * 2 / (4 * 15))


@pytest.mark.parametrize("correlate", CORRELATIONS)
def test_the_same_seed_gives_the_same_interval_and_more_confidence_a_wider_one(
    correlate: Callable[..., Correlation],
) -> None:
    rng = np.random.default_rng(3)
    first = rng.standard_normal(15)
    second = first + rng.standard_normal(15)
    usual = correlate(first, second, seed=4)
    assert usual == correlate(first, second, seed=4)
    assert usual != correlate(first, second, seed=5)
    wider = correlate(first, second, confidence=0.995, seed=4)
    assert wider.low < usual.low < usual.value == wider.value < usual.high < wider.high


@pytest.mark.parametrize("correlate", CORRELATIONS)
def test_turning_one_score_round_turns_the_interval_round(correlate: Callable[..., Correlation]) -> None:
    rng = np.random.default_rng(5)
    first = rng.standard_normal(12)
    second = first + rng.standard_normal(12)
    ahead, back = correlate(first, second), correlate(first, -second)
    assert (back.low, back.value, back.high) == pytest.approx((-ahead.high, -ahead.value, -ahead.low))


@pytest.mark.parametrize(
    ("num_networks", "low"), [(6, 1 - 2 * math.log(40) / 15), (12, 1 - 2 * math.log(40) / 66)]
)
def test_a_perfect_order_of_few_networks_leaves_room_for_discord(num_networks: int, low: float) -> None:
    scores = np.arange(float(num_networks))
    found = correlate_kendall(scores, scores)
    assert (found.value, found.low, found.high) == pytest.approx((1, low, 1))
    assert low < correlate_spearman(scores, scores).low < 1
    turned = correlate_kendall(scores, -scores)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-1, -1, -low))


@pytest.mark.parametrize("correlate", CORRELATIONS)
def test_a_score_that_is_the_same_for_all_ranks_nothing(correlate: Callable[..., Correlation]) -> None:
    same, other = np.full(6, 0.5), np.arange(6.0)
    assert correlate(same, other) == correlate(other, same) == Correlation(value=0.0, low=-1.0, high=1.0)


@pytest.mark.parametrize(("num_networks", "tau"), [(6, 0.85), (12, 0.3), (12, 0.7)])
def test_the_interval_holds_the_truth_nearly_always(
    monkeypatch: pytest.MonkeyPatch, num_networks: int, tau: float
) -> None:
    """For normal scores tau is 2 / pi * asin(r); the plain bootstrap holds it 71 of 100 times in the first case."""
    monkeypatch.setattr(correlation, "NUM_RESAMPLES", 300)
    rng = np.random.default_rng(6)
    r = math.sin(math.pi * tau / 2)
    num_held = 0
    for index in range(100):
        first = rng.standard_normal(num_networks)
        second = r * first + math.sqrt(1 - r**2) * rng.standard_normal(num_networks)
        found = correlate_kendall(first, second, seed=index)
        num_held += found.low <= tau <= found.high
    assert num_held >= 92
