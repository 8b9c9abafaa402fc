import math
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
    scale_family,
    solve_phi,
)
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
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
        (member,) = scale_family(b0, point, [1.0])
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


def test_the_strict_family_really_costs_what_the_facts_say(b0: ModelSpec) -> None:
    family = scale_family(b0, PAPER_COEFFICIENTS, [1, 2, 3, 4, 5, 6, 7])
    ratios = [member.cost.multiply_adds / B0_MULTIPLY_ADDS for member in family]
    assert [f"{ratio:.3g}" for ratio in ratios] == ["2.57", "4.69", "8.43", "16.4", "29.5", "52.1", "103"]
    assert f"{ratios[-1]:.1f}" == "102.8"


def test_nominal_cost_is_the_formulas_own(b0: ModelSpec) -> None:
    for member in scale_family(b0, PAPER_COEFFICIENTS, [0, 1, 3, 7]):
        expected = B0_MULTIPLY_ADDS * float(PAPER_COEFFICIENTS.product) ** member.phi
        assert member.nominal_multiply_adds == pytest.approx(expected)
        assert member.cost == count_cost(member.spec)


def test_strict_phi_one_builds_b2(b0: ModelSpec) -> None:
    """Width 1.1 and depth 1.2 are B2's, whatever the paper's table says (tensorflow/tpu#390)."""
    (member,) = scale_family(b0, PAPER_COEFFICIENTS, [1])
    assert network_hash(member.spec) == network_hash(load_preset("efficientnet-b2"))
    assert member.spec.resolution == 258


def test_phi_zero_is_the_base_and_below_zero_it_shrinks(b0: ModelSpec) -> None:
    smallest, smaller, base = scale_family(b0, PAPER_COEFFICIENTS, [-2, -1, 0])
    assert base.spec == b0
    assert smallest.cost.multiply_adds < smaller.cost.multiply_adds < base.cost.multiply_adds
    assert smallest.cost.parameters < base.cost.parameters
    assert smallest.spec.resolution == 169  # 224 / 1.15^2


def test_a_coefficient_of_exactly_one_leaves_its_dimension_untouched(b0: ModelSpec) -> None:
    (deep,) = scale_family(b0, ScalingCoefficients(alpha=2.0, beta=1.0, gamma=1.0), [3.7])
    assert deep.spec.resolution == 224
    assert [stage.out_channels for stage in deep.spec.stages] == [stage.out_channels for stage in b0.stages]
    (wide,) = scale_family(b0, ScalingCoefficients(alpha=1.0, beta=1.4, gamma=1.0), [3.7])
    assert [stage.num_blocks for stage in wide.spec.stages] == [stage.num_blocks for stage in b0.stages]


@pytest.mark.parametrize(
    ("factor", "phi"), [(2, 0.51), (4, 1.73), (8, 2.88), (16, 3.88), (32, 5.16), (64, 6.26), (128, 7.45)]
)
def test_solved_phis_meet_powers_of_two(b0: ModelSpec, factor: int, phi: float) -> None:
    """The phis of the shared facts, on the paper's ray from B0."""
    member = solve_phi(b0, PAPER_COEFFICIENTS, factor=factor, tolerance=0.02)
    assert member is not None
    assert member.phi == pytest.approx(phi, abs=0.006)
    assert abs(member.cost.multiply_adds / (factor * B0_MULTIPLY_ADDS) - 1) <= 0.02


def test_no_phi_is_given_where_none_is_near_enough(b0: ModelSpec) -> None:
    assert solve_phi(b0, PAPER_COEFFICIENTS, factor=8, tolerance=0.02) is not None
    assert solve_phi(b0, PAPER_COEFFICIENTS, factor=8, tolerance=0.001) is None


@pytest.mark.parametrize("index", range(0, 108, 36))
def test_bisection_finds_what_walking_every_step_finds(b0: ModelSpec, index: int) -> None:
    point = coefficient_grid()[index]
    phis = [round(float(phi), 4) for phi in np.linspace(math.log2(2) - 1, math.log2(2) + 0.5, 301)]
    walked = min(
        scale_family(b0, point, phis),
        key=lambda member: abs(member.cost.multiply_adds - 2 * B0_MULTIPLY_ADDS),
    )
    assert solve_phi(b0, point, factor=2, tolerance=1.0) == walked
