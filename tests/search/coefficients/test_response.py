import numpy as np
import pytest

from effsearch.search.coefficients.response import fit_response

LINE = np.linspace(0, 1, 11)[:, None]


def noisy(truth: np.ndarray, *, seed: int, noise: float = 0.01, number: int = 1) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [[float(value + noise * rng.standard_normal()) for _ in range(number)] for value in truth]


def test_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="a response needs at least one score"):
        fit_response(LINE, [[] for _ in LINE])


def test_a_lucky_training_is_drawn_back_to_its_neighbours() -> None:
    truth = 0.5 + 0.05 * LINE[:, 0]
    scores = noisy(truth, seed=0, noise=0.002)
    scores[2][0] += 0.03
    response = fit_response(LINE, scores)
    assert truth[2] < response.means[2] < scores[2][0] - 0.01


def test_what_was_never_trained_is_believed_to_be_what_its_neighbours_say() -> None:
    truth = 0.5 + 0.05 * LINE[:, 0]
    scores = noisy(truth, seed=0, noise=0.001)
    scores[5] = []
    response = fit_response(LINE, scores)
    assert response.means[5] == pytest.approx(truth[5], abs=0.005)
    assert response.deviations[5] > response.deviations[4]
    assert response.smoothers.shape == (11, 10)


def test_one_score_is_enough_and_says_the_same_of_all() -> None:
    response = fit_response(LINE, [[0.4], *([] for _ in LINE[1:])])
    assert response.means == pytest.approx(0.4)
    assert response.chances.max() < 0.5


def test_more_seeds_leave_less_doubt() -> None:
    truth = 0.5 + 0.02 * LINE[:, 0]
    few, many = (fit_response(LINE, noisy(truth, seed=1, number=number)) for number in (1, 20))
    assert many.deviations.mean() < few.deviations.mean() / 2
    assert many.noise == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_beliefs_are_linear_in_the_scores_and_move_with_their_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = noisy(rng.uniform(0.3, 0.5, len(LINE)), seed=seed, number=1 + seed % 2)
    response = fit_response(LINE, scores)
    assert response.smoothers @ [np.mean(one) for one in scores] == pytest.approx(response.means)
    assert response.smoothers.sum(axis=1) == pytest.approx(1)
    assert response.chances.sum() == pytest.approx(1)
    higher = fit_response(LINE, [[value + 0.2 for value in one] for one in scores])
    assert higher.means == pytest.approx(response.means + 0.2)
    assert higher.noise == pytest.approx(response.noise)


def test_the_order_of_candidates_does_not_matter() -> None:
    scores = noisy(0.5 - (LINE[:, 0] - 0.6) ** 2, seed=2)
    order = np.random.default_rng(0).permutation(len(LINE))
    response = fit_response(LINE, scores)
    shuffled = fit_response(LINE[order], [scores[index] for index in order])
    assert shuffled.means == pytest.approx(response.means[order])


def test_draws_scatter_as_the_deviations_say_and_repeat_with_the_seed() -> None:
    scores = noisy(0.5 - (LINE[:, 0] - 0.6) ** 2, seed=3)
    one, same = (fit_response(LINE, scores, seed=7) for _ in range(2))
    assert np.array_equal(one.draws, same.draws)
    assert one.draws.shape == (4_000, 11)
    assert one.draws.mean(axis=0) == pytest.approx(one.means, abs=4 * one.deviations.max() / 4_000**0.5)


def test_scores_without_any_noise_are_believed() -> None:
    truth = 0.5 + 0.3 * LINE[:, 0]
    response = fit_response(LINE, [[float(value)] * 3 for value in truth])
    assert response.means == pytest.approx(truth, abs=0.01)
    assert np.argmax(response.chances) == 10
