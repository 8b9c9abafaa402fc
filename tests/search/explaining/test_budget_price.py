from collections.abc import Callable

import numpy as np
import pytest

from effsearch.search.explaining.budget_price import BudgetUse, price_budget
from effsearch.search.features import FEATURES, network_features
from effsearch.search.model.surrogate import fit_surrogate
from effsearch.search.problem import Problem
from effsearch.space.budget import Budget
from effsearch.space.outcome import Fidelity
from effsearch.space.screening import sample_points, screen
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_text import space_from_yaml

Price = Callable[..., tuple[BudgetUse, np.ndarray]]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return space_from_yaml(
        "schema_version: 1\nname: small\nstem: {out_channels: 8}\nhead: {out_channels: 0}\nstages:\n"
        "  - {channels: [8, 16, 24], repeats: [1, 2, 3], kernel_size: [3, 5]}\n"
        "  - {channels: [16, 24, 32], repeats: [1, 2, 3], kernel_size: [3, 5], stride: 2}\n"
    )


@pytest.fixture(scope="module")
def price(space: SearchSpace, fidelity: Fidelity) -> Price:
    """How a budget is used whose bounds are shares of the dearest network's costs; trainings are without noise."""

    def make(
        score: Callable[[np.ndarray], np.ndarray], *, least: float = 0.0, **shares: float
    ) -> tuple[BudgetUse, np.ndarray]:
        most = screen(space, np.array([[2, 2, 1, 2, 2, 1]]), resolution=32, num_classes=10)
        budget = Budget(**{name: int(share * getattr(most, name)[0]) for name, share in shares.items()})
        problem = Problem(space=space, budgets=(budget,), resolution=32, num_classes=10, rungs=(fidelity,))
        rng = np.random.default_rng(0)
        points = np.unique(sample_points(space, 80, rng=rng), axis=0)
        costs = screen(space, points, resolution=32, num_classes=10)
        points = points[costs.shares(budget) >= least]
        values = score(np.log(screen(space, points, resolution=32, num_classes=10).multiply_adds))
        model = fit_surrogate(
            points,
            values + 0.001 * rng.standard_normal(len(points)),
            num_choices=[len(dimension.labels) for dimension in space.dimensions],
            positions=space.positions(),
            features=network_features(problem, points),
        )
        return price_budget(model, problem, budget, points, rng=rng), points

    return make


def log_cost(logarithms: np.ndarray) -> np.ndarray:
    return 0.1 * logarithms


def test_features_are_blocks_and_logarithms_of_costs(space: SearchSpace, fidelity: Fidelity) -> None:
    budget = Budget(multiply_adds=1)
    problem = Problem(space=space, budgets=(budget,), resolution=32, num_classes=10, rungs=(fidelity,))
    points = np.array([[0, 0, 0, 0, 0, 0], [0, 2, 0, 0, 1, 0]])
    costs = screen(space, points, resolution=32, num_classes=10)
    features = network_features(problem, points)
    assert features.shape == (2, len(FEATURES))
    assert features[:, 0].tolist() == [2, 5]
    assert np.exp(features[:, 1:]) == pytest.approx(np.stack([costs.multiply_adds, costs.parameters], axis=1))


def test_where_dearer_is_better_the_budget_binds_and_a_larger_one_pays(price: Price) -> None:
    use, _ = price(log_cost, multiply_adds=0.5)
    assert (use.binding, use.num_best) == ("multiply_adds", 5)
    assert 0.9 < use.shares["multiply_adds"] <= 1
    gains = [one.gain for one in use.prices]
    assert [one.extra_percent for one in use.prices] == [10, 25, 50]
    assert gains == pytest.approx(list(0.1 * np.log([1.1, 1.25, 1.5])), abs=0.01)
    assert all(one.gain > 2 * one.deviation for one in use.prices[1:])


def test_where_cheaper_is_better_nothing_binds_and_more_brings_nothing(price: Price) -> None:
    use, _ = price(lambda logarithms: -0.1 * logarithms, multiply_adds=0.5)
    assert use.binding is None
    assert use.shares["multiply_adds"] < 0.5
    assert [(one.gain, one.deviation) for one in use.prices] == [(0.0, 0.0)] * 3


def test_of_several_bounds_each_has_its_price_and_the_tight_one_binds(price: Price) -> None:
    use, _ = price(log_cost, multiply_adds=0.5, parameters=3.0)
    assert use.binding == "multiply_adds"
    gains = {(one.bounds, one.extra_percent): one.gain for one in use.prices}
    assert len(gains) == 9
    assert gains[("multiply_adds",), 50] == pytest.approx(gains[("multiply_adds", "parameters"), 50])
    assert gains[("parameters",), 50] == 0


def test_what_is_liked_lies_inside_the_budget_best_first(price: Price, space: SearchSpace) -> None:
    use, _ = price(log_cost, multiply_adds=0.5)
    costs = screen(space, use.liked, resolution=32, num_classes=10)
    assert costs.inside(use.budget).all()
    assert 5 < len(use.liked) < 33  # a tenth of those inside, of 324 in all
    assert costs.multiply_adds[0] > 0.95 * use.budget.limits()["multiply_adds"]


def test_a_budget_without_a_trained_network_says_so(price: Price) -> None:
    use, points = price(log_cost, multiply_adds=0.5, least=1.01)
    assert len(points) > 8
    assert (use.num_best, use.shares, use.binding) == (0, {}, None)
    assert use.prices[-1].gain > 0


def test_a_space_too_large_to_look_through_is_searched_to_the_same_prices(
    price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, _ = price(log_cost, multiply_adds=0.5)
    monkeypatch.setattr("effsearch.search.explaining.budget_price.SMALL_SPACE", 0)
    searched, _ = price(log_cost, multiply_adds=0.5)
    assert [one.gain for one in searched.prices] == pytest.approx([one.gain for one in exact.prices])
    assert searched.liked[0].tolist() == exact.liked[0].tolist()
