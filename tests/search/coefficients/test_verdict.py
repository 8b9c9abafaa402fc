import numpy as np
import pytest

from effsearch.search.coefficients.response import fit_response
from effsearch.search.coefficients.verdict import bootstrap_interval, credible_set, judge

LINE = np.linspace(0, 1, 12)[:, None]


def scores_of(slope: float, *, seed: int = 0, noise: float = 0.01, number: int = 2) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [
        [float(0.5 + slope * x + noise * rng.standard_normal()) for _ in range(number)] for x in LINE[:, 0]
    ]


def test_a_steep_response_has_a_winner_and_a_small_set() -> None:
    verdict = judge(LINE, scores_of(0.5))
    assert verdict.winner == 11
    assert {index for index, one in enumerate(verdict.standings) if one.is_in_set} <= {10, 11}
    assert bootstrap_interval(verdict, LINE[:, 0])[1] == 1.0


def test_where_all_are_equal_nearly_all_are_in_the_set() -> None:
    verdict = judge(LINE, scores_of(0.0, number=1))
    assert sum(one.is_in_set for one in verdict.standings) >= 9
    low, high = bootstrap_interval(verdict, LINE[:, 0])
    assert high - low > 0.5


@pytest.mark.parametrize("seed", range(5))
def test_a_verdict_hangs_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.dirichlet([1, 1, 1], 15)
    scores = [list(rng.normal(0.4, 0.02, rng.integers(0, 4))) for _ in places]
    scores[3] = [0.41]
    verdict = judge(places, scores, seed=seed)
    assert judge(places, scores, seed=seed) == verdict
    assert sorted(verdict.order) == list(range(15))
    assert scores[verdict.winner]
    assert verdict.standings[verdict.winner].is_in_set
    assert sum(one.chance for one in verdict.standings) == pytest.approx(1)
    assert sum(one.chance for one in verdict.standings if one.is_in_set) >= 0.97
    assert all(one.low <= one.expected <= one.high for one in verdict.standings)
    num_scored = sum(map(bool, scores))
    assert all(scores[index] for index in verdict.order[:num_scored])
    low, high = bootstrap_interval(verdict, places[:, 0])
    narrow = bootstrap_interval(verdict, places[:, 0], level=0.5)
    assert low <= narrow[0] <= narrow[1] <= high


def test_the_set_is_the_smallest_that_is_likely_enough() -> None:
    response = fit_response(LINE, scores_of(0.05))
    chosen = credible_set(response)
    chances = response.chances
    assert chances[chosen].sum() >= 0.97 > chances[chosen[:-1]].sum()
    assert chances[chosen].min() >= max((chances[i] for i in range(12) if i not in chosen), default=0)
    assert len(credible_set(response, level=0.5)) < len(chosen)


def test_a_candidate_that_was_never_trained_can_be_in_the_set_but_cannot_win() -> None:
    scores = scores_of(0.2)
    scores[11] = []
    verdict = judge(LINE, scores)
    assert verdict.standings[11].is_in_set
    assert verdict.winner == 10
    assert verdict.order[-1] == 11


def test_one_candidate_is_its_own_set() -> None:
    verdict = judge(LINE[:1], [[0.4]])
    assert verdict.winner == 0
    assert verdict.standings[0].chance == 1
    assert bootstrap_interval(verdict, np.array([1.2])) == (1.2, 1.2)


def test_the_set_holds_the_best_in_most_searches() -> None:
    """A small run of what benchmarks/coefficient_sets.py measures."""
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = 0.5 - 0.04 * (LINE[:, 0] - rng.uniform()) ** 2 + 0.002 * rng.standard_normal(12)
        scores = [[float(value + 0.01 * rng.standard_normal())] for value in truth]
        hits += judge(LINE, scores, seed=seed).standings[int(np.argmax(truth))].is_in_set
    assert hits >= 36
