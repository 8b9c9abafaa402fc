"""Where along a ray of multipliers does the built network cost what is wanted?

Channels, blocks and pixels are whole, so built costs jump along a ray; the network nearest to the target is given,
and how near it is.
"""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass

from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.scaling import DEFAULT_RULES, BuildRules, Multipliers, scale_model
from effsearch.space.spec import ModelSpec

Ray = Callable[[float], Multipliers]  # from an exponent; the multipliers never fall as it grows
CountModel = Callable[[ModelSpec], int]  # multiply-adds, at whatever size they are wanted

STEP = 1e-4  # of the exponent; the surface's own coefficients have four decimals too


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A network on a ray."""

    exponent: float
    multipliers: Multipliers
    spec: ModelSpec
    multiply_adds: int  # as counted for the search of the place

    def off_by(self, target: float) -> float:
        """Share of the target by which the built cost differs from it."""
        return abs(self.multiply_adds / target - 1)


def count_multiply_adds(spec: ModelSpec) -> int:
    """Count the multiply-adds of a network at its own resolution."""
    return count_cost(spec).multiply_adds


def nearest_on_ray(
    base: ModelSpec,
    ray: Ray,
    *,
    target: float,
    low: float,
    high: float,
    rules: BuildRules = DEFAULT_RULES,
    count: CountModel = count_multiply_adds,
) -> Place:
    """Give the network on a ray whose built cost is nearest to a target.

    The built cost never falls along a ray, so bisection finds the two places on either side of the target; of the
    exponents that build one network the smallest is given. A base whose channels are no multiples of the divisor
    breaks that at exponent 0, and may be given a place that is only near the best.

    Args:
        base: Network that is scaled.
        ray: Gives the multipliers at an exponent.
        target: Multiply-adds wanted.
        low: Least exponent to look at.
        high: Greatest one.
        rules: How multipliers become a network.
        count: Counts a network as it will be compared.

    Raises:
        SpecError: Not even the least exponent gives a network.
    """
    built: dict[int, Place | SpecError] = {}

    def place(index: int) -> Place | SpecError:
        if index not in built:
            exponent = round(low + index * STEP, 4)
            try:
                multipliers = ray(exponent)
                spec = scale_model(base, multipliers, rules)
                built[index] = Place(
                    exponent=exponent, multipliers=multipliers, spec=spec, multiply_adds=count(spec)
                )
            except SpecError as error:  # too many blocks or pixels: further out than any target
                built[index] = error
        return built[index]

    def cost_at(index: int) -> float:
        found = place(index)
        return found.multiply_adds if isinstance(found, Place) else math.inf

    indices = range(round((high - low) / STEP) + 1)
    above = bisect.bisect_left(indices, target, key=cost_at)
    found = [place(above)] if above < len(indices) else []
    if above:
        found.append(place(bisect.bisect_left(indices, cost_at(above - 1), key=cost_at)))
    choices = [one for one in found if isinstance(one, Place)]
    if not choices:
        raise next(one for one in found if isinstance(one, SpecError))
    return min(choices, key=lambda one: one.off_by(target))
