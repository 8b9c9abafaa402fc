import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.family import (
    FamilyMember,
    dwr_family,
    dwr_ray,
    official_family,
    solved_family,
    strict_family,
)
from effsearch.space.presets import load_preset
from effsearch.space.scaling import BuildRules, Multipliers, scale_width
from effsearch.space.spec import BlockSpec, ModelSpec
from effsearch.space.text import from_json, to_json

DrawSpec = Callable[[int], ModelSpec]
RandomSpec = Callable[[np.random.Generator], ModelSpec]

B0_MULTIPLY_ADDS = 385_814_752
POWERS = [2.0**power * B0_MULTIPLY_ADDS for power in range(1, 8)]


def ratios(family: list[FamilyMember]) -> list[float]:
    return [member.cost.multiply_adds / B0_MULTIPLY_ADDS for member in family]


def test_the_strict_family_really_costs_what_the_facts_say(b0: ModelSpec) -> None:
    """Counted independently in the shared facts: 2.57 4.69 8.43 16.4 29.5 52.1 102.8 times B0."""
    family = strict_family(b0, PAPER_COEFFICIENTS, [1, 2, 3, 4, 5, 6, 7])
    assert [f"{ratio:.3g}" for ratio in ratios(family)] == [
        "2.57",
        "4.69",
        "8.43",
        "16.4",
        "29.5",
        "52.1",
        "103",
    ]
    assert f"{ratios(family)[-1]:.1f}" == "102.8"
    assert family[0].off == pytest.approx(2.5728 / 1.92027 - 1, abs=1e-3)


def test_nominal_cost_is_the_formulas_own(b0: ModelSpec) -> None:
    for member in strict_family(b0, PAPER_COEFFICIENTS, [0, 1, 3, 7]):
        expected = B0_MULTIPLY_ADDS * float(PAPER_COEFFICIENTS.product) ** member.phi
        assert member.nominal_multiply_adds == pytest.approx(expected)
        assert member.cost == count_cost(member.spec)


def test_strict_phi_one_builds_b2(b0: ModelSpec) -> None:
    """Width 1.1 and depth 1.2 are B2's, whatever the paper's table says (tensorflow/tpu#390)."""
    (member,) = strict_family(b0, PAPER_COEFFICIENTS, [1])
    assert network_hash(member.spec) == network_hash(load_preset("efficientnet-b2"))
    assert member.spec.resolution == 258


def test_phi_zero_is_the_base_and_below_zero_it_shrinks(b0: ModelSpec) -> None:
    smallest, smaller, base = strict_family(b0, PAPER_COEFFICIENTS, [-2, -1, 0])
    assert base.spec == b0
    assert smallest.cost.multiply_adds < smaller.cost.multiply_adds < base.cost.multiply_adds
    assert smallest.cost.parameters < base.cost.parameters
    assert smallest.spec.resolution == 169  # 224 / 1.15^2


def test_a_coefficient_of_exactly_one_leaves_its_dimension_untouched(b0: ModelSpec) -> None:
    (deep,) = strict_family(b0, ScalingCoefficients(alpha=2.0, beta=1.0, gamma=1.0), [3.7])
    assert deep.spec.resolution == 224
    assert [stage.out_channels for stage in deep.spec.stages] == [stage.out_channels for stage in b0.stages]
    (wide,) = strict_family(b0, ScalingCoefficients(alpha=1.0, beta=1.4, gamma=1.0), [3.7])
    assert [stage.num_blocks for stage in wide.spec.stages] == [stage.num_blocks for stage in b0.stages]


def plain_blocks(spec: ModelSpec, rng: np.random.Generator) -> ModelSpec:
    """Expansions that no rounding makes equal to the width they expand; without identities."""

    def plain(block: BlockSpec) -> BlockSpec:
        kind = "mbconv" if block.kind == "identity" else block.kind
        ratio = float(rng.choice([1, 2, 4, 6]))
        return dataclasses.replace(block, kind=kind, expand_ratio=ratio, expanded_channels=0)

    stages = tuple(
        dataclasses.replace(stage, blocks=tuple(plain(block) for block in stage.blocks))
        for stage in spec.stages
    )
    return dataclasses.replace(spec, stages=stages)


@pytest.mark.parametrize("seed", range(40))
def test_cost_never_falls_as_phi_grows_and_no_stage_is_lost(seed: int, random_spec: RandomSpec) -> None:
    rng = np.random.default_rng(seed)
    base = scale_width(plain_blocks(random_spec(rng), rng), 8.0)
    alpha, beta, gamma = (round(float(value), 3) for value in rng.uniform(1, 1.5, size=3))
    coefficients = ScalingCoefficients(alpha=alpha, beta=beta, gamma=gamma)
    phis = sorted({0.0, *(round(float(phi), 2) for phi in rng.uniform(-4, 3, size=12))})
    rules = BuildRules(has_floor=bool(rng.integers(2)), resolution_multiple=int(rng.choice([1, 8])))
    for family in (strict_family(base, coefficients, phis, rules), dwr_family(base, phis, rules)):
        costs = [member.cost.multiply_adds for member in family]
        assert costs == sorted(costs)
        for member in family:
            for before, after in zip(base.stages, member.spec.stages, strict=True):
                if member.phi >= 0:
                    assert after.num_blocks >= before.num_blocks
                assert after.num_blocks >= 1
            assert from_json(to_json(member.spec)) == member.spec


@pytest.mark.parametrize("seed", range(20))
def test_phi_zero_is_the_base_whatever_its_channels(seed: int, random_spec: RandomSpec) -> None:
    base = random_spec(np.random.default_rng(seed))
    rules = BuildRules(resolution_multiple=32)
    assert [member.spec for member in strict_family(base, PAPER_COEFFICIENTS, [0], rules)] == [base]
    assert [member.spec for member in dwr_family(base, [0], rules)] == [base]
    cost = count_cost(base).multiply_adds
    (solved,) = solved_family(base, PAPER_COEFFICIENTS.multipliers, [cost], rules)
    assert (solved.spec, solved.phi, solved.exponent, solved.off) == (base, 0, 0, 0)


def test_solve_meets_powers_of_two_within_two_per_cent(b0: ModelSpec) -> None:
    """The exponents of the shared facts: .51 1.73 2.88 3.88 5.16 6.26 7.45."""
    family = solved_family(b0, PAPER_COEFFICIENTS.multipliers, POWERS)
    assert all(abs(member.off) <= 0.02 for member in family)
    expected = [0.51, 1.73, 2.88, 3.88, 5.16, 6.26, 7.45]
    assert [member.exponent for member in family] == pytest.approx(expected, abs=0.007)
    assert [member.phi for member in family] == pytest.approx(range(1, 8))


@pytest.mark.parametrize("budget", [100e6, 1.6e9])
def test_solve_meets_a_budget_from_either_side(b0: ModelSpec, budget: float) -> None:
    (member,) = solved_family(b0, PAPER_COEFFICIENTS.multipliers, [budget])
    assert abs(member.cost.multiply_adds / budget - 1) <= 0.02
    assert member.phi == pytest.approx(math.log2(budget / B0_MULTIPLY_ADDS))
    assert member.nominal_multiply_adds == budget


def test_solve_needs_a_ray_that_grows(b0: ModelSpec) -> None:
    flat = ScalingCoefficients(alpha=1.0, beta=1.0, gamma=1.0)
    with pytest.raises(SpecError, match=r"no phi doubles the cost: .* grows by 1 only"):
        solved_family(b0, flat.multipliers, POWERS)


def test_official_gives_b1_to_b7_exactly(b0: ModelSpec) -> None:
    for member in official_family(b0, range(8)):
        assert member.spec == load_preset(f"efficientnet-b{member.phi:g}")
    (ten_classes,) = official_family(dataclasses.replace(b0, num_classes=10), [3])
    assert ten_classes.spec == dataclasses.replace(load_preset("efficientnet-b3"), num_classes=10)
    assert ten_classes.multipliers == Multipliers(depth=1.4, width=1.2, resolution=300 / 224)


def test_official_is_for_b0_and_whole_phis_alone(b0: ModelSpec) -> None:
    other = "published family of efficientnet-b0 at 224 px, and this base is another network"
    with pytest.raises(SpecError, match=other):
        official_family(load_preset("efficientnet-b1"), [1])
    with pytest.raises(SpecError, match=other):
        official_family(dataclasses.replace(b0, resolution=192), [1])
    with pytest.raises(SpecError, match=r"the official rule knows phi 0 to 7, got 0\.5"):
        official_family(b0, [0.5])


def test_dwr_saves_activations_as_the_facts_say(b0: ModelSpec) -> None:
    """Arxiv 2103.06877 on B0 at nominal 4 x: 5.18 x FLOPs and 2.87 x activations, where uniform has 4.85 and 3.65."""
    (member,) = dwr_family(b0, [2])
    base = count_cost(b0)
    assert member.cost.multiply_adds / base.multiply_adds == pytest.approx(5.18, abs=0.005)
    assert member.cost.activations / base.activations == pytest.approx(2.87, abs=0.005)
    assert member.nominal_multiply_adds == pytest.approx(4 * base.multiply_adds)


@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.8, 1.0])
def test_dwr_shares_out_the_whole_cost(exponent: float) -> None:
    for phi in (-2.0, 0.5, 3.0):
        assert dwr_ray(exponent)(phi).nominal_cost == pytest.approx(2**phi)
    assert dwr_ray(1.0)(2.0) == Multipliers(width=2.0)


def test_a_dwr_exponent_beyond_one_is_refused(b0: ModelSpec) -> None:
    with pytest.raises(SpecError, match=r"the dwr exponent must be from 0 to 1, got 1\.2"):
        dwr_family(b0, [1], exponent=1.2)


def test_a_budget_that_no_network_of_the_ray_comes_near_is_refused(b0: ModelSpec) -> None:
    with pytest.raises(
        SpecError, match="no network on this ray comes near 1M multiply-adds: the nearest costs"
    ):
        solved_family(b0, PAPER_COEFFICIENTS.multipliers, [1e6])


def test_solve_goes_as_deep_as_a_network_may_be(b0: ModelSpec) -> None:
    deep = ScalingCoefficients(alpha=2.0, beta=1.0, gamma=1.0)
    (member,) = solved_family(b0, deep.multipliers, [2**5.9 * B0_MULTIPLY_ADDS])
    assert abs(member.off) < 0.02
