"""How is a network grown in one dimension, or in all together, to one cost as it is trained?

A comparison of scaling rules is worth something only at equal built cost. Blocks, channels and pixels are whole, so
an arm first looks along its own ray, with channels in multiples as coarse as will do. Where no multiple comes near
enough, a change of all widths makes up the rest, in multiples with which it is smallest, and is said by name.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients
from effsearch.space.errors import SpecError
from effsearch.space.family import dwr_ray
from effsearch.space.rays import CountModel, Place, Ray, nearest_on_ray
from effsearch.space.rounding import DIVISORS
from effsearch.space.scaling import BuildRules, Multipliers, scale_model, scale_width
from effsearch.space.spec import ModelSpec

ArmName = Literal["depth", "width", "resolution", "compound", "paper", "dwr"]

ARM_NAMES: tuple[ArmName, ...] = ("depth", "width", "resolution", "compound", "paper", "dwr")
DEFAULT_ARMS: tuple[ArmName, ...] = (
    "depth",
    "width",
    "resolution",
    "compound",
    "dwr",
)  # compound is the paper's there
SINGLE_ARMS: tuple[ArmName, ...] = ("depth", "width", "resolution")
BASE_NAME = "base"

DEFAULT_TOLERANCE = 0.01
LEAST_FACTOR, MOST_FACTOR = 1.05, 32.0
CORRECTION_STEP, MOST_CORRECTION = 0.001, 0.15  # of the width
LARGEST_MULTIPLIER = 99.0  # what any dimension may grow by


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A network of a comparison at equal cost; the base itself is one, with factor 1."""

    name: str  # an `ArmName`, or "base"
    factor: float  # on the base's cost as trained
    exponent: float  # along the arm's ray; log2 of the nominal cost; of compound arms phi
    multipliers: Multipliers  # the correction included
    divisor: int  # channels that were scaled are multiples of it
    width_correction: (
        float  # what the width of the ray was multiplied by to meet the cost; 1 where nothing was
    )
    spec: ModelSpec
    multiply_adds: int  # as trained
    off: float  # share of the wanted cost by which this one exceeds it

    @property
    def relative_cost(self) -> float:
        """Cost over the base's, as trained."""
        return self.factor * (1 + self.off)

    @property
    def title(self) -> str:
        """What people call it."""
        return arm_title(self.name, self.factor)


def arm_title(name: str, factor: float) -> str:
    """Give what people call an arm, or the base: "depth x4", "base"."""
    return name if name == BASE_NAME else f"{name} x{factor:g}"


def base_arm(base: ModelSpec, count: CountModel) -> Arm:
    """Give the unscaled network as the arm that all others are compared with."""
    return Arm(
        name=BASE_NAME,
        factor=1.0,
        exponent=0.0,
        multipliers=Multipliers(),
        divisor=DIVISORS[0],
        width_correction=1.0,
        spec=base,
        multiply_adds=count(base),
        off=0.0,
    )


def make_arm(
    base: ModelSpec,
    name: ArmName,
    *,
    factor: float,
    count: CountModel,
    coefficients: ScalingCoefficients = PAPER_COEFFICIENTS,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Arm:
    """Give the network that costs `factor` times the base, grown as the arm says.

    The coarsest multiple of channels that meets the cost by itself is taken; where none does, the one whose
    correction of the width is nearest 1, the coarsest of equals.

    Args:
        base: Network that is scaled.
        name: In what it grows.
        factor: On the base's cost.
        count: Counts a network as it will be trained.
        coefficients: Of the compound arm.
        tolerance: Share of the wanted cost that the built one may differ by.

    Raises:
        SpecError: No network of the arm costs what is wanted, or the factor is out of range.
    """
    check_match(factor, tolerance)
    target = factor * count(base)
    ray = arm_ray(name, coefficients)
    tried: list[tuple[Place, int]] = []
    for divisor in DIVISORS:
        place = _place_on(base, ray, target=target, factor=factor, divisor=divisor, count=count)
        if place.off_by(target) <= tolerance:
            return _arm(name, factor=factor, place=place, divisor=divisor, correction=1.0, target=target)
        tried.append((place, divisor))
        if place.multipliers.width == 1:  # no channel is touched, so a finer divisor changes nothing
            tried = [(place, finer) for finer in DIVISORS]
            break
    corrected = [
        (correction, place, divisor)
        for plain, divisor in tried
        for place, correction in _corrected(
            base, plain, target=target, tolerance=tolerance, divisor=divisor, count=count
        )
    ]
    if corrected:  # the first of equals is the coarsest
        correction, place, divisor = min(corrected, key=lambda one: round(abs(one[0] - 1), 3))
        return _arm(name, factor=factor, place=place, divisor=divisor, correction=correction, target=target)
    nearest = min((place for place, _ in tried), key=lambda one: one.off_by(target))
    raise SpecError(
        f"the {name} arm meets {factor:g} x the base's cost only to {nearest.off_by(target):.1%}, and "
        f"{tolerance:.1%} is wanted: take another --factor or --proxy-resolution or a larger base, leave it "
        "out of --arms, or raise --tolerance"
    )


def check_match(factor: float, tolerance: float) -> None:
    """Refuse what no comparison at equal cost can be made at.

    Raises:
        SpecError: The factor or the tolerance is out of range.
    """
    if not LEAST_FACTOR <= factor <= MOST_FACTOR:
        raise SpecError(f"--factor must be from {LEAST_FACTOR:g} to {MOST_FACTOR:g}, got {factor:g}")
    if not 0 < tolerance <= 0.5:
        raise SpecError(f"--tolerance must be above 0 and at most 0.5, got {tolerance:g}")


def arm_ray(name: ArmName, coefficients: ScalingCoefficients) -> Ray:
    """Give the multipliers of an arm; exponent 1 doubles the nominal cost (compound arms: is phi 1)."""
    match name:
        case "depth":
            return lambda exponent: Multipliers(depth=2.0**exponent)
        case "width":
            return lambda exponent: Multipliers(width=2.0 ** (exponent / 2))
        case "resolution":
            return lambda exponent: Multipliers(resolution=2.0 ** (exponent / 2))
        case "compound":
            return coefficients.multipliers
        case "paper":
            return PAPER_COEFFICIENTS.multipliers
        case "dwr":
            return dwr_ray()


def _place_on(
    base: ModelSpec, ray: Ray, *, target: float, factor: float, divisor: int, count: CountModel
) -> Place:
    one = ray(1.0)  # what any ray multiplies by each time the exponent grows by one
    steepest = math.log2(max(one.depth, one.width, one.resolution))
    high = (2 * math.log2(factor) + 1) / math.log2(one.nominal_cost)
    return nearest_on_ray(
        base,
        ray,
        target=target,
        low=0.0,
        high=min(high, math.log2(LARGEST_MULTIPLIER) / steepest),
        rules=BuildRules(divisor=divisor),
        count=count,
    )


def _corrected(
    base: ModelSpec, place: Place, *, target: float, tolerance: float, divisor: int, count: CountModel
) -> Iterator[tuple[Place, float]]:
    """Yield the place with its width changed as little as meets the target, and by what; nothing where none does."""
    if not _holds_multiples(base, divisor):
        return  # a touch of the width would round channels that the correction does not mean
    for correction in _corrections(is_growing=place.multiply_adds < target):
        multipliers = dataclasses.replace(
            place.multipliers, width=round(place.multipliers.width * correction, 9)
        )
        spec = scale_model(base, multipliers, BuildRules(divisor=divisor))
        built = dataclasses.replace(place, multipliers=multipliers, spec=spec, multiply_adds=count(spec))
        if built.off_by(target) <= tolerance:
            yield built, correction
            return
        if (built.multiply_adds < target) != (place.multiply_adds < target):
            return  # it has jumped over the target


def _corrections(*, is_growing: bool) -> Iterator[float]:
    """Yield factors on the width, the smallest change first."""
    sign = 1 if is_growing else -1
    for index in range(1, round(MOST_CORRECTION / CORRECTION_STEP) + 1):
        yield round(1 + sign * index * CORRECTION_STEP, 3)


def _holds_multiples(base: ModelSpec, divisor: int) -> bool:
    return scale_width(base, 1 + 1e-9, BuildRules(divisor=divisor)) == base


def _arm(name: str, *, factor: float, place: Place, divisor: int, correction: float, target: float) -> Arm:
    return Arm(
        name=name,
        factor=factor,
        exponent=place.exponent,
        multipliers=place.multipliers,
        divisor=divisor,
        width_correction=correction,
        spec=place.spec,
        multiply_adds=place.multiply_adds,
        off=place.multiply_adds / target - 1,
    )
