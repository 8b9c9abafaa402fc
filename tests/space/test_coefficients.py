from fractions import Fraction

import numpy as np
import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import (
    PAPER_COEFFICIENTS,
    ScalingCoefficients,
    coefficient_grid,
    draw_coefficients,
    on_surface,
    parse_coefficients,
)
from effsearch.space.errors import SpecError
from effsearch.space.family import strict_family
from effsearch.space.spec import ModelSpec

B0_MULTIPLY_ADDS = 385_814_752


def test_the_papers_triple_gives_one_point_nine_two_exactly() -> None:
    """1.2 * 1.21 * 1.3225, arXiv:1905.11946 section 3.3."""
    assert PAPER_COEFFICIENTS.product == Fraction("1.92027")
    assert on_surface(PAPER_COEFFICIENTS)


def test_the_surface_is_strict_and_exact() -> None:
    assert abs(1.95 - 2) < 0.05 + 1e-15  # in floats an edge falls to one side by luck; here it is outside
    for edge in (1.95, 2.05):
        assert not on_surface(ScalingCoefficients(alpha=edge, beta=1.0, gamma=1.0), tolerance=0.05)
    edge = ScalingCoefficients(alpha=2.1, beta=1.0, gamma=1.0)
    assert not on_surface(edge)
    assert on_surface(ScalingCoefficients(alpha=1.9001, beta=1.0, gamma=1.0))
    assert on_surface(edge, tolerance=0.1001)


def test_the_grid_has_108_points(b0: ModelSpec) -> None:
    """Counted in the shared facts; at phi = 1 on B0 they are 65 networks at 1.93 to 3.33 times its cost."""
    grid = coefficient_grid()
    assert len(grid) == len(set(grid)) == 108
    assert PAPER_COEFFICIENTS in grid
    costs = {}
    for point in grid:
        (member,) = strict_family(b0, point, [1.0])
        key = (network_hash(member.spec), member.spec.resolution)
        costs[key] = member.cost.multiply_adds / B0_MULTIPLY_ADDS
    assert len(costs) == 65
    assert (round(min(costs.values()), 2), round(max(costs.values()), 2)) == (1.93, 3.33)


def test_every_grid_point_is_on_the_surface_and_within_the_axes() -> None:
    for point in coefficient_grid(step=0.04, tolerance=0.03):
        assert abs(point.product - 2) < Fraction("0.03")
        assert 1 <= point.alpha <= 2
        assert 1 <= point.beta <= 1.5
        assert 1 <= point.gamma <= 1.5


@pytest.mark.parametrize("step", [0.0, -1.0, 0.001, 0.6, float("nan")])
def test_grid_steps_out_of_reason_are_refused(step: float) -> None:
    with pytest.raises(SpecError, match=f"the grid step must be from 0.01 to 0.5, got {step:g}"):
        coefficient_grid(step=step)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.2,1.1", "cannot read the coefficients '1.2,1.1': write alpha,beta,gamma like 1.2,1.1,1.15"),
        ("1.2,1.1,1.15,1", "cannot read the coefficients"),
        ("a,b,c", "cannot read the coefficients 'a,b,c'"),
        ("", "cannot read the coefficients ''"),
        ("2.1,0.99,1", "beta must be a finite number of at least 1, got 0.99"),
        ("nan,1.1,1.1", "alpha must be a finite number of at least 1, got nan"),
        ("1.2,1.1,inf", "gamma must be a finite number of at least 1, got inf"),
        ("1e400,1,1", "alpha must be a finite number of at least 1, got inf"),
        ("11,1,1", "alpha must be at most 10, got 11"),
        ("1.2,1.2,1.2", r"must be within 0.1 of 2, got 2.4883 for 1.2,1.2,1.2; change .* --tolerance"),
        ("1.9,1,1", "must be within 0.1 of 2, got 1.9000"),
    ],
)
def test_coefficients_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_coefficients(text)


def test_coefficients_are_read_with_their_tolerance() -> None:
    assert parse_coefficients(" 1.2, 1.1 ,1.15") == PAPER_COEFFICIENTS
    assert parse_coefficients("1.2,1.2,1.2", tolerance=0.5).beta == 1.2
    assert str(PAPER_COEFFICIENTS) == "alpha 1.2, beta 1.1, gamma 1.15"


def test_draws_lie_on_the_surface_and_follow_their_seed() -> None:
    rng = np.random.default_rng(3)
    points = [draw_coefficients(rng, tolerance=0.01) for _ in range(100)]
    assert all(on_surface(point, tolerance=0.01) for point in points)
    again = np.random.default_rng(3)
    assert points == [draw_coefficients(again, tolerance=0.01) for _ in range(100)]
    assert len(set(points)) == 100
