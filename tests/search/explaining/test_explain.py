import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from effsearch.search.explaining.explain import Explanation, Training, draw_main_effects, explain_search
from effsearch.search.model.surrogate import fit_surrogate
from effsearch.search.problem import Problem
from effsearch.space.budget import Budget
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity
from effsearch.space.screening import sample_points
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.space_text import space_from_yaml

Score = Callable[[Point], float]
NAMES = (
    "stage1.channels",
    "stage1.repeats",
    "stage1.kernel_size",
    "stage2.channels",
    "stage2.repeats",
    "stage2.kernel_size",
)


@pytest.fixture(scope="module")
def problem(fidelity: Fidelity) -> Problem:
    space = space_from_yaml(
        "schema_version: 1\nname: small\nstem: {out_channels: 8}\nhead: {out_channels: 0}\nstages:\n"
        "  - {channels: [8, 16, 24], repeats: [1, 2, 3], kernel_size: [3, 5]}\n"
        "  - {channels: [16, 24, 32], repeats: [1, 2, 3], kernel_size: [3, 5], stride: 2}\n"
    )
    assert tuple(dimension.name for dimension in space.dimensions) == NAMES
    budget = Budget(multiply_adds=10**9)
    return Problem(space=space, budgets=(budget,), resolution=32, num_classes=10, rungs=(fidelity, fidelity))


def trainings(space: SearchSpace, score: Score, *, number: int = 60, noise: float = 0.001) -> list[Training]:
    rng = np.random.default_rng(0)
    points = np.unique(sample_points(space, number, rng=rng), axis=0)
    return [
        Training(
            choices=space.labels_at(point), score=score(tuple(point)) + noise * rng.standard_normal(), rung=0
        )
        for point in rng.permutation(points).tolist()
    ]


def repeats_count(point: Point) -> float:
    """Two dimensions matter, the second stage's repeats four times the variance of its kernel size."""
    return 0.5 + 0.02 * (point[4] - 1) + 0.008165 * (2 * point[5] - 1)


@pytest.fixture(scope="module")
def explained(problem: Problem) -> Explanation:
    return explain_search(problem, trainings(problem.space, repeats_count))


def test_shares_are_those_of_the_formula(explained: Explanation) -> None:
    shares = {dimension.name: dimension.main for dimension in explained.dimensions}
    # Variances: .02^2 * 2/3 and .008165^2, which is a quarter of it.
    assert shares["stage2.repeats"].mean == pytest.approx(0.8, abs=0.03)
    assert shares["stage2.kernel_size"].mean == pytest.approx(0.2, abs=0.03)
    assert sum(shares[name].mean for name in NAMES[:4]) < 0.02
    assert all(share.low <= share.mean <= share.high for share in shares.values())


def test_effects_are_those_of_the_formula_and_the_best_choice_is_sure(explained: Explanation) -> None:
    repeats = explained.dimensions[4]
    effects = [one.effect.mean for one in repeats.effects]
    assert [one.label for one in repeats.effects] == [1, 2, 3]
    assert effects == pytest.approx([-0.02, 0, 0.02], abs=0.002)
    assert (repeats.best.label, repeats.is_sure, repeats.best.best_probability) == (3, True, 1.0)
    assert {dimension.name for dimension in explained.dimensions if dimension.is_sure} >= {
        "stage2.repeats",
        "stage2.kernel_size",
    }


def test_the_end_of_a_dimension_that_matters_is_to_be_widened(explained: Explanation) -> None:
    more = {advice.dimension: advice.choices for advice in explained.advice if advice.kind == "more"}
    assert more == {"stage2.repeats": (3,), "stage2.kernel_size": (5,)}


def test_two_dimensions_that_only_count_together_are_the_strongest_pair(problem: Problem) -> None:
    explained = explain_search(
        problem,
        trainings(problem.space, lambda point: 0.02 * (2 * point[2] - 1) * (2 * point[5] - 1), number=90),
    )
    assert {explained.pairs[0].one, explained.pairs[0].other} == {"stage1.kernel_size", "stage2.kernel_size"}
    assert explained.pairs[0].share.mean > 0.5
    assert explained.dimensions[2].total.mean > explained.dimensions[2].main.mean + 0.5


def test_scores_that_are_noise_make_nothing_sure(problem: Problem) -> None:
    explained = explain_search(problem, trainings(problem.space, lambda point: 0.5, number=12, noise=0.01))
    assert explained.num_sure == 0
    assert explained.advice == ()
    assert all(dimension.total.high - dimension.total.low > 0.05 for dimension in explained.dimensions)


def test_a_cheap_rung_with_a_level_of_its_own_does_not_blur_the_effects(problem: Problem) -> None:
    cheap = trainings(problem.space, lambda point: repeats_count(point) - 0.2)
    dear = [Training(choices=one.choices, score=one.score + 0.2, rung=1) for one in cheap[: len(cheap) // 3]]
    explained = explain_search(problem, [*cheap, *dear])
    assert (explained.num_networks, explained.num_trainings) == (len(cheap), len(cheap) + len(dear))
    assert explained.num_rungs == 2
    effects = [one.effect.mean for one in explained.dimensions[4].effects]
    assert effects == pytest.approx([-0.02, 0, 0.02], abs=0.003)


def test_a_budget_that_binds_holds_back_good_choices_that_cost_too_much(problem: Problem) -> None:
    def held_back(limit: int) -> set[str]:
        limited = dataclasses.replace(problem, budgets=(Budget(multiply_adds=limit),))
        explained = explain_search(
            limited, trainings(problem.space, lambda point: 0.5 + 0.01 * sum(point), number=60)
        )
        return {advice.dimension for advice in explained.advice if advice.kind == "budget"}

    assert held_back(250_000) >= {"stage1.repeats", "stage2.repeats"}  # a quarter of the space fits
    assert held_back(10**9) == set()


def test_each_budget_has_a_price(problem: Problem) -> None:
    budgets = (Budget(multiply_adds=300_000), Budget(multiply_adds=10**9))
    several = Problem(
        space=problem.space, budgets=budgets, resolution=32, num_classes=10, rungs=problem.rungs
    )
    explained = explain_search(several, trainings(problem.space, repeats_count, number=20))
    assert tuple(use.budget for use in explained.budgets) == budgets
    assert explained.budgets[0].prices[-1].gain > 0
    assert [price.gain for price in explained.budgets[1].prices] == [0, 0, 0]


def test_equal_seeds_give_equal_explanations(problem: Problem) -> None:
    few = trainings(problem.space, repeats_count, number=12)
    one, other = (explain_search(problem, few, seed=3) for _ in range(2))
    assert (one.dimensions, one.pairs, one.advice) == (other.dimensions, other.pairs, other.advice)
    assert [use.prices for use in one.budgets] == [use.prices for use in other.budgets]


def test_drawn_effects_have_the_means_and_deviations_of_the_model(problem: Problem) -> None:
    found = trainings(problem.space, repeats_count, number=15)
    model = fit_surrogate(
        np.asarray([problem.space.point_of(one.choices) for one in found]),
        np.asarray([one.score for one in found]),
        num_choices=[len(dimension.labels) for dimension in problem.space.dimensions],
        positions=problem.space.positions(),
    )
    draws = draw_main_effects(model, rng=np.random.default_rng(0), num_draws=20_000)
    effects = model.main_effects()
    assert draws.mean(axis=0) == pytest.approx(np.concatenate([one.mean for one in effects]), abs=2e-4)
    deviations = np.concatenate([one.deviation for one in effects])
    assert draws.std(axis=0) == pytest.approx(deviations, rel=0.03, abs=1e-6)
    assert np.abs(draws[:, :3].sum(axis=1)).max() < 1e-6


def test_seven_networks_are_too_few_however_often_they_were_trained(problem: Problem) -> None:
    seven = trainings(problem.space, repeats_count)[:7]
    with pytest.raises(UsageError, match=r"7 network\(s\) of the space have a score, and 8 are the least"):
        explain_search(problem, [*seven, *seven])
    with pytest.raises(UsageError, match="0 network"):
        explain_search(problem, [])
