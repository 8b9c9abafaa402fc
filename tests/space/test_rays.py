import math

import numpy as np
import pytest

from effsearch.space.coefficients import PAPER_COEFFICIENTS, coefficient_grid
from effsearch.space.errors import SpecError
from effsearch.space.rays import count_multiply_adds, nearest_on_ray
from effsearch.space.scaling import BuildRules, Multipliers, scale_model
from effsearch.space.spec import ModelSpec

B0_MULTIPLY_ADDS = 385_814_752


@pytest.mark.parametrize("index", range(0, 108, 36))
def test_bisection_finds_what_walking_every_step_finds(b0: ModelSpec, index: int) -> None:
    ray, target = coefficient_grid()[index].multipliers, 2 * B0_MULTIPLY_ADDS
    place = nearest_on_ray(b0, ray, target=target, low=0.4, high=0.6)
    walked = [round(0.4 + step * 1e-4, 4) for step in range(0, 2001, 4)]
    costs = [count_multiply_adds(scale_model(b0, ray(exponent))) for exponent in walked]
    assert place.off_by(target) <= min(abs(cost / target - 1) for cost in costs)
    assert place.spec == scale_model(b0, ray(place.exponent))
    assert place.multiply_adds == count_multiply_adds(place.spec)


def test_what_is_counted_is_the_callers_affair(b0: ModelSpec) -> None:
    def num_blocks(spec: ModelSpec) -> int:
        return sum(stage.num_blocks for stage in spec.stages)

    def deeper(exponent: float) -> Multipliers:
        return Multipliers(depth=2**exponent)

    place = nearest_on_ray(b0, deeper, target=32, low=0.0, high=2.0, count=num_blocks)
    assert (num_blocks(place.spec), place.multiply_adds) == (32, 32)
    assert place.exponent == pytest.approx(math.log2(1.75), abs=2e-4), "where four blocks become eight"


@pytest.mark.parametrize(("low", "high"), [(-1.0, -0.5), (2.0, 3.0)])
def test_a_target_off_the_ends_gives_the_nearer_end(b0: ModelSpec, low: float, high: float) -> None:
    ray = PAPER_COEFFICIENTS.multipliers
    place = nearest_on_ray(b0, ray, target=B0_MULTIPLY_ADDS, low=low, high=high)
    nearer = high if high < 0 else low
    assert place.multiply_adds == count_multiply_adds(scale_model(b0, ray(nearer)))


def test_a_finer_divisor_comes_nearer(b0: ModelSpec) -> None:
    def wider(exponent: float) -> Multipliers:
        return Multipliers(width=2**exponent)

    targets = np.random.default_rng(0).uniform(1.1, 3.0, size=8) * B0_MULTIPLY_ADDS
    offs = []
    for divisor in (8, 1):
        places = [
            nearest_on_ray(b0, wider, target=target, low=0.0, high=1.0, rules=BuildRules(divisor=divisor))
            for target in targets
        ]
        offs.append([place.off_by(target) for place, target in zip(places, targets, strict=True)])
    assert max(offs[1]) < 0.01 < max(offs[0])
    assert np.mean(offs[1]) < np.mean(offs[0]) / 2


def test_a_probe_that_cannot_be_built_lies_beyond_the_target(b0: ModelSpec) -> None:
    """Depth 2^8 of B0 has more blocks than a network may have; a quarter of that is what is looked for."""

    def deeper(exponent: float) -> Multipliers:
        return Multipliers(depth=min(100.0, 2**exponent))

    target = count_multiply_adds(scale_model(b0, deeper(5.0)))
    place = nearest_on_ray(b0, deeper, target=target, low=0.0, high=8.0)
    assert place.multiply_adds == target
    with pytest.raises(SpecError, match="a network has at most 1024 blocks"):
        nearest_on_ray(b0, deeper, target=target, low=6.5, high=8.0)
