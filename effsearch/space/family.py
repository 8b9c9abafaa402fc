"""What family does a network grow into, by which rule?

`strict` takes the coefficients to the power of phi, as the paper's formula says; `solve` looks for the exponent at
which the built network costs what phi promises, or a given budget; `official` gives the published EfficientNets;
`dwr` spends cost mainly on width, so that activations, and with them running time, grow slowly.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from effsearch.space.budget import short_count
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset, preset_multipliers
from effsearch.space.rays import Ray, nearest_on_ray
from effsearch.space.scaling import DEFAULT_RULES, BuildRules, Multipliers, scale_model
from effsearch.space.spec import ModelSpec

RuleName = Literal["strict", "official", "solve", "dwr"]

OFFICIAL_BASE = "efficientnet-b0"
OFFICIAL_PHIS = range(8)
DWR_EXPONENT = 0.8  # the frugal rule of arXiv:2103.06877
FARTHEST = 1.5  # times a target or below it, that its nearest network may cost
LEAST_GROWTH = 0.1  # log2 of what exponent 1 does to the nominal cost
REACH_DOWN, REACH_UP = 2.0, 1.0  # of the exponent around the nominal one; built costs lie above it more often


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyMember:
    """One scaled network, its cost as promised and as built."""

    phi: float  # log2 of the nominal cost over the base's, but for `strict`, where it is the exponent
    exponent: float  # of the coefficients; for `official` the same as phi
    multipliers: Multipliers
    spec: ModelSpec
    cost: Cost
    nominal_multiply_adds: float  # what the rule promises

    @property
    def off(self) -> float:
        """Share by which the built cost exceeds the nominal one; below zero where it falls short."""
        return self.cost.multiply_adds / self.nominal_multiply_adds - 1


def strict_family(
    base: ModelSpec,
    coefficients: ScalingCoefficients,
    phis: Sequence[float],
    rules: BuildRules = DEFAULT_RULES,
) -> list[FamilyMember]:
    """Scale by alpha^phi, beta^phi and gamma^phi, once for each phi.

    Source:
        arXiv:1905.11946, equation 3.
    """
    return [_member(base, phi, coefficients.multipliers(phi), rules) for phi in phis]


def dwr_family(
    base: ModelSpec,
    phis: Sequence[float],
    rules: BuildRules = DEFAULT_RULES,
    *,
    exponent: float = DWR_EXPONENT,
) -> list[FamilyMember]:
    """Scale to 2^phi by depth, width and resolution, width taking the share `exponent` of it.

    Raises:
        SpecError: The exponent is not from 0 to 1.

    Source:
        arXiv:2103.06877, section 4: d = s^((1-a)/2), w = sqrt(s)^a, r = sqrt(s)^((1-a)/2).
    """
    ray = dwr_ray(exponent)
    return [_member(base, phi, ray(phi), rules) for phi in phis]


def dwr_ray(exponent: float = DWR_EXPONENT) -> Ray:
    """Give the multipliers of the dwr rule at log2 of the nominal cost.

    Raises:
        SpecError: The exponent is not from 0 to 1.
    """
    if not 0 <= exponent <= 1:
        raise SpecError(f"the dwr exponent must be from 0 to 1, got {exponent:g}")

    def at(phi: float) -> Multipliers:
        rest = (1 - exponent) / 2
        return Multipliers(
            depth=2 ** (phi * rest), width=2 ** (phi * exponent / 2), resolution=2 ** (phi * rest / 2)
        )

    return at


def official_family(base: ModelSpec, phis: Sequence[float]) -> list[FamilyMember]:
    """Give the published EfficientNets, B1 at phi 1 to B7 at phi 7, with the base's number of classes.

    They are not alpha^phi: by their cost they sit at phi .83 to 6.6. Nominal is base x depth * width^2 *
    resolution^2 of the published triple.

    Raises:
        SpecError: The base is not EfficientNet-B0 at 224 pixels, or a phi has no published network.
    """
    b0 = load_preset(OFFICIAL_BASE)
    if network_hash(base) != network_hash(b0) or base.resolution != b0.resolution:
        raise SpecError(
            f"the official rule is the published family of {OFFICIAL_BASE} at {b0.resolution} px, and this base is "
            "another network: take strict, solve or dwr"
        )
    family = []
    for phi in phis:
        if phi not in OFFICIAL_PHIS:
            raise SpecError(f"the official rule knows phi 0 to {OFFICIAL_PHIS[-1]}, got {phi:g}")
        name = f"efficientnet-b{phi:g}"
        multipliers = preset_multipliers(name)
        spec = dataclasses.replace(load_preset(name), num_classes=base.num_classes)
        family.append(
            FamilyMember(
                phi=phi,
                exponent=phi,
                multipliers=multipliers,
                spec=spec,
                cost=count_cost(spec),
                nominal_multiply_adds=count_cost(base).multiply_adds * multipliers.nominal_cost,
            )
        )
    return family


def solved_family(
    base: ModelSpec,
    ray: Ray,
    targets: Sequence[float],
    rules: BuildRules = DEFAULT_RULES,
) -> list[FamilyMember]:
    """Scale along a ray to the built costs nearest to some multiply-adds.

    Args:
        base: Network that is scaled.
        ray: Such as the `multipliers` of some coefficients; its nominal cost must grow.
        targets: Multiply-adds.
        rules: How multipliers become a network.

    Returns:
        A member for each target, whose `phi` is log2 of the target over the base's cost and whose `exponent` is
        where on the ray it lies. Costs jump along a ray, so `off` says how near each came.

    Raises:
        SpecError: The ray does not grow the cost, or no network comes near a target.
    """
    growth = math.log2(ray(1.0).nominal_cost)
    if growth < LEAST_GROWTH:
        raise SpecError(
            f"no phi doubles the cost: depth * width^2 * resolution^2 grows by {2**growth:.3g} only"
        )
    base_cost = count_cost(base).multiply_adds
    family = []
    for target in targets:
        phi = round(math.log2(target / base_cost), 9)
        exponent = 0.0  # the base itself, whatever else costs the same
        if target != base_cost:
            place = nearest_on_ray(
                base,
                ray,
                target=target,
                low=phi / growth - REACH_DOWN,
                high=phi / growth + REACH_UP,
                rules=rules,
            )
            if not 1 / FARTHEST <= place.multiply_adds / target <= FARTHEST:
                raise SpecError(
                    f"no network on this ray comes near {short_count(target)} multiply-adds: the nearest costs "
                    f"{short_count(place.multiply_adds)}; ask for another phi or budget, or change the base"
                )
            exponent = place.exponent
        member = _member(base, exponent, ray(exponent), rules)
        family.append(dataclasses.replace(member, phi=phi, nominal_multiply_adds=float(target)))
    return family


def _member(base: ModelSpec, phi: float, multipliers: Multipliers, rules: BuildRules) -> FamilyMember:
    spec = scale_model(base, multipliers, rules)
    return FamilyMember(
        phi=phi,
        exponent=phi,
        multipliers=multipliers,
        spec=spec,
        cost=count_cost(spec),
        nominal_multiply_adds=count_cost(base).multiply_adds * multipliers.nominal_cost,
    )
