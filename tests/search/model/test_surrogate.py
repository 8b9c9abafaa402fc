from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from effsearch.search.model import standardise
from effsearch.search.model.surrogate import Surrogate, fit_surrogate

NUM_CHOICES = [3, 3, 2, 4, 2]
POSITIONS = [None] * 5
MAIN = [[0.0, 1.0, 2.0], [0.0, -1.0, 0.5], [0.0, 0.0], [0.0, 0.3, 0.6, 0.9], [0.0, 0.5]]


def truth(points: np.ndarray) -> np.ndarray:
    """Main effects of all dimensions but the third, and a pair of the first and the last."""
    values = sum(np.asarray(effects)[points[:, index]] for index, effects in enumerate(MAIN))
    return np.asarray(values + 1.5 * (points[:, 0] == 2) * (points[:, 4] == 1))


def draw(number: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(NUM_CHOICES, size=(number, 5))


def fit(points: np.ndarray, values: np.ndarray, **extra: Any) -> Surrogate:
    return fit_surrogate(points, values, num_choices=NUM_CHOICES, positions=POSITIONS, **extra)


@pytest.fixture(scope="module")
def model() -> Surrogate:
    points = draw(100, seed=0)
    return fit(points, truth(points) + np.random.default_rng(1).normal(size=100) * 0.2)


def test_effects_and_pairs_are_found_under_noise(model: Surrogate) -> None:
    points = np.unique(draw(2000, seed=2), axis=0)
    mean, deviation = model.predict(points)
    good = truth(points) > np.median(truth(points))  # the low end is compressed
    errors = (mean - truth(points))[good]
    assert np.sqrt(np.mean(errors**2)) < 0.2
    assert 0.5 < np.sqrt(np.mean((errors / deviation[good]) ** 2)) < 1.5
    assert model.noise[0] == pytest.approx(0.2, rel=0.5)
    assert truth(points)[np.argmax(mean)] == truth(points).max()


def test_the_mean_alone_is_that_of_the_prediction(model: Surrogate) -> None:
    points = draw(50, seed=3)
    assert model.mean(points) == pytest.approx(model.predict(points)[0])


def test_joint_draws_have_the_predicted_moments(model: Surrogate) -> None:
    points = np.unique(draw(60, seed=4), axis=0)
    mean, deviation = model.predict(points)
    good = mean > np.median(mean)
    draws = model.sample(points[good], rng=np.random.default_rng(0), num_samples=3000)
    assert draws.mean(axis=0) == pytest.approx(mean[good], abs=0.05)
    assert draws.std(axis=0) == pytest.approx(deviation[good], rel=0.15)


def test_a_choice_without_effect_is_of_no_importance(model: Surrogate) -> None:
    importance = model.importance(rng=np.random.default_rng(0))
    shares = [one.mean for one in importance.main]
    assert shares[2] < 0.03 < shares[4] < shares[1] < shares[0]
    assert all(one.low <= one.mean <= one.high for one in importance.total)
    pairs = {pair: share.mean for pair, share in importance.pairs.items()}
    assert max(pairs, key=lambda pair: pairs[pair]) == (0, 4)
    assert sum(shares) + sum(pairs.values()) == pytest.approx(1)


def test_main_effects_are_told_in_units_of_the_score(model: Surrogate) -> None:
    effects = model.main_effects()
    assert [len(one.mean) for one in effects] == NUM_CHOICES
    assert effects[1].mean[2] - effects[1].mean[1] == pytest.approx(1.5, abs=0.4)
    assert effects[2].mean == pytest.approx(0, abs=0.1)
    assert all((one.deviation > 0).all() for one in effects)


def test_only_a_feature_that_holds_gets_a_weight() -> None:
    rng = np.random.default_rng(0)
    points, features = draw(60, seed=5), rng.normal(size=(60, 2))
    values = 3 + 2 * features[:, 0] + rng.normal(size=60) * 0.1
    model = fit(points, values, features=features)
    weights, deviations = model.feature_weights()
    assert weights[0] == pytest.approx(2 * features[:, 0].std(), rel=0.2)
    assert abs(weights[1]) < 0.1
    assert (deviations < 0.3).all()
    others = draw(60, seed=6)
    low, high = (model.mean(others, np.tile([place, 0.0], (60, 1))).mean() for place in (0.0, 1.0))
    assert high - low == pytest.approx(2, abs=0.3)


def test_ordered_choices_lend_each_other_strength() -> None:
    choices = np.asarray([0, 0, 1, 1, 3, 3, 4, 4])[:, None]
    values = choices[:, 0] + np.tile([0.05, -0.05], 4)

    def at_two(position: np.ndarray | None) -> float:
        model = fit_surrogate(choices, values, num_choices=[5], positions=[position])
        mean, deviation = model.predict(np.asarray([[2]]))
        assert mean[0] == pytest.approx(2, abs=0.3)
        return float(deviation[0])

    assert at_two(np.arange(5.0)) < 0.8 * at_two(None)


def test_a_cheap_rung_ranks_what_the_dear_one_has_hardly_seen() -> None:
    rng = np.random.default_rng(0)
    cheap, dear, rest = draw(80, seed=6), draw(6, seed=7), draw(200, seed=8)
    values = np.concatenate([10 + 0.5 * truth(cheap), 50 + truth(dear)]) + rng.normal(size=86) * 0.05
    rungs = np.repeat([0, 1], [80, 6])
    model = fit(np.concatenate([cheap, dear]), values, rungs=rungs)
    mean, deviation = model.predict(rest)
    assert spearmanr(mean, truth(rest)).statistic > 0.95
    assert mean.mean() == pytest.approx(50 + truth(rest).mean(), abs=0.7)
    assert len(model.noise) == 2
    alone = fit(dear, values[80:])
    assert deviation.mean() < alone.predict(rest)[1].mean()


def test_one_rung_is_the_plain_model() -> None:
    points = draw(30, seed=9)
    plain = fit(points, truth(points))
    runged = fit(points, truth(points), rungs=np.zeros(30, dtype=np.int64))
    assert plain.mean(points).tolist() == runged.mean(points).tolist()


def test_scores_that_are_all_alike_are_no_trouble() -> None:
    model = fit(draw(5, seed=0), np.full(5, 7.0))
    mean, deviation = model.predict(draw(20, seed=1))
    assert mean == pytest.approx(7)
    assert np.isfinite(deviation).all()


def test_a_choice_that_was_not_made_counts_as_the_average(model: Surrogate) -> None:
    points = np.repeat(np.asarray([[2, 2, 0, 0, 0]]), 4, axis=0)
    points[:, 3] = np.arange(4)
    missing = points[:1].copy()
    missing[0, 3] = -1
    assert model.mean(missing)[0] == pytest.approx(model.mean(points).mean(), abs=0.15)


def test_trainings_of_one_point_are_merged() -> None:
    points = np.repeat(draw(10, seed=0), 8, axis=0)
    values = truth(points) + np.random.default_rng(0).normal(size=80) * 0.5
    model = fit(points, values)
    assert len(model.seen.values) == len(np.unique(points, axis=0))
    assert model.seen.counts.sum() == 80


def test_sizes_are_kept_until_there_are_many_more_scores() -> None:
    points = draw(80, seed=0)
    first = fit(points[:40], truth(points[:40]))
    soon = fit(points[:44], truth(points[:44]), previous=first)
    later = fit(points, truth(points), previous=first)
    assert soon.sizes is first.sizes
    assert (soon.num_estimated, later.num_estimated) == (40, 80)


def test_the_few_scores_of_the_top_rung_outlive_the_thinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardise, "MOST_ROWS", 40)
    points = np.unique(draw(3000, seed=0), axis=0)
    worst = points[np.argsort(truth(points))[:1]]
    values = np.concatenate([truth(points), [3.0]])
    rungs = np.append(np.zeros(len(points), dtype=np.int64), 1)
    model = fit(np.concatenate([points, worst]), values, rungs=rungs)
    assert model.seen.rungs.tolist().count(1) == 1
    assert model.mean(worst)[0] == pytest.approx(3, abs=1)


def test_very_many_scores_are_thinned_and_the_best_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardise, "MOST_ROWS", 60)
    points = np.unique(draw(3000, seed=0), axis=0)
    values = truth(points)
    model = fit(points, values)
    assert len(model.seen.values) == 60
    assert values[np.argmax(model.mean(points))] == values.max()
