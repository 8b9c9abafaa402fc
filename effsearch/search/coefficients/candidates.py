"""What of the surface can be compared at equal built cost?

A point of the surface is moved along its own ray until its network costs twice the base, both counted as the proxy
trains them: at its size, without the strides it removes, with the data's classes. What does not come within two per
cent is left out by name; points that come to one network as trained are one candidate.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from effsearch.search.coefficients.response import FloatArray
from effsearch.search.coefficients.settings import FACTOR, CoefficientSettings
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import (
    PAPER_COEFFICIENTS,
    ScalingCoefficients,
    coefficient_grid,
    draw_coefficients,
    on_surface,
)
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import SpecError
from effsearch.space.outcome import Fidelity
from effsearch.space.proxy import count_as_trained, fidelity_for
from effsearch.space.rays import CountModel, Place, nearest_on_ray
from effsearch.space.scaling import BuildRules, scale_model, scale_width
from effsearch.space.spec import ModelSpec

COST_TOLERANCE = 0.02  # share of the target by which built costs may differ from it
NUM_RANDOM_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A distinct network at the common cost, and the triples that lead to it."""

    coefficients: ScalingCoefficients  # the paper's where it leads here, else the middle one
    triples: tuple[ScalingCoefficients, ...]
    exponent: float  # of the coefficients, where the built cost meets the target
    spec: ModelSpec  # at the target resolution
    network: str
    cost: Cost  # of `spec`
    fidelity: Fidelity
    multiply_adds: int  # as trained
    place: tuple[float, float, float]  # shares of depth, width and resolution in the growth; they sum to 1

    @property
    def name(self) -> str:
        """The triple as users write it."""
        return triple_name(self.coefficients)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A point whose network cannot be had at the common cost, and how far from it the nearest is."""

    coefficients: ScalingCoefficients
    off: float  # share of the target; below zero where it is too cheap


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """The surface, as far as it can be compared."""

    candidates: tuple[Candidate, ...]  # the paper's triple first, then each far from those before it
    left_out: tuple[LeftOut, ...]
    num_points: int  # on the surface
    num_networks: int  # distinct ones of all points, with the coefficients as they are
    target: float  # multiply-adds as trained

    @property
    def num_arrived(self) -> int:
        """Points that meet the common cost."""
        return self.num_points - len(self.left_out)

    @property
    def places(self) -> FloatArray:
        """(num_candidates, 3) where the candidates lie on the surface."""
        return np.array([candidate.place for candidate in self.candidates])


def triple_name(coefficients: ScalingCoefficients) -> str:
    """Write a triple as --coefficients takes it."""
    return f"{coefficients.alpha:g},{coefficients.beta:g},{coefficients.gamma:g}"


def place_of(coefficients: ScalingCoefficients) -> tuple[float, float, float]:
    """Give the shares of depth, width and resolution in the growth that the coefficients promise."""
    logs = [math.log(coefficients.alpha), 2 * math.log(coefficients.beta), 2 * math.log(coefficients.gamma)]
    alpha, beta, gamma = (log / sum(logs) for log in logs)
    return alpha, beta, gamma


def list_candidates(
    base: ModelSpec,
    settings: CoefficientSettings,
    *,
    fidelity: Fidelity,
    num_classes: int,
    rules: BuildRules,
) -> CandidateList:
    """Give the distinct networks of the surface at twice the cost of the base as the proxy trains it.

    Args:
        base: Network that is scaled.
        settings: Which points are tried.
        fidelity: At which the base would be trained; a candidate's pixels grow with its gamma.
        num_classes: Of the data.
        rules: How multipliers become a network here.

    Raises:
        SpecError: No point comes within two per cent of the target.
    """
    points = _points(settings)
    count = count_as_trained(base, fidelity, num_classes=num_classes)
    target = FACTOR * count(base)
    places = {point: _place(base, point, target, rules, count) for point in points}
    groups: dict[tuple[str, Fidelity], list[ScalingCoefficients]] = {}
    left_out = []
    for point, place in places.items():
        if place.off_by(target) <= COST_TOLERANCE:
            groups.setdefault(_key(place.spec, base, fidelity), []).append(point)
        else:
            left_out.append(LeftOut(coefficients=point, off=place.multiply_adds / target - 1))
    if not groups:
        nearest = min((abs(one.off) for one in left_out), default=math.inf)
        raise SpecError(
            f"no coefficients lead to a network within {COST_TOLERANCE:.0%} of twice this base at "
            f"{fidelity.resolution} px: the nearest of {len(points)} is {nearest:.0%} off; raise "
            "--proxy-resolution or --tolerance, lower --grid-step, or give --coefficients"
        )
    candidates = [_candidate(group, places, key, own, target) for (key, own), group in groups.items()]
    as_they_are = {_key(scale_model(base, point.multipliers(1.0), rules), base, fidelity) for point in points}
    return CandidateList(
        candidates=tuple(_spread(candidates)),
        left_out=tuple(left_out),
        num_points=len(points),
        num_networks=len(as_they_are),
        target=target,
    )


def _points(settings: CoefficientSettings) -> list[ScalingCoefficients]:
    if settings.method == "grid":
        points = coefficient_grid(step=settings.grid_step, tolerance=settings.tolerance)
    else:
        rng = np.random.default_rng(settings.seed)
        points = [draw_coefficients(rng, tolerance=settings.tolerance) for _ in range(NUM_RANDOM_DRAWS)]
    if on_surface(PAPER_COEFFICIENTS, tolerance=settings.tolerance):
        points.append(PAPER_COEFFICIENTS)
    return list(dict.fromkeys(points))


def _place(
    base: ModelSpec, point: ScalingCoefficients, target: float, rules: BuildRules, count: CountModel
) -> Place:
    nominal = 1 / math.log2(point.product)
    return nearest_on_ray(
        base, point.multipliers, target=target, low=0.0, high=2 * nominal, rules=rules, count=count
    )


def _key(spec: ModelSpec, base: ModelSpec, fidelity: Fidelity) -> tuple[str, Fidelity]:
    return network_hash(spec), fidelity_for(spec, fidelity, target_resolution=base.resolution)


def _candidate(
    group: Sequence[ScalingCoefficients],
    places: dict[ScalingCoefficients, Place],
    network: str,
    fidelity: Fidelity,
    target: float,
) -> Candidate:
    middle = np.mean([place_of(point) for point in group], axis=0)
    chosen = min(
        group,
        key=lambda point: (
            point != PAPER_COEFFICIENTS,
            round(float(np.square(np.array(place_of(point)) - middle).sum()), 9),
        ),
    )
    place = places[chosen]
    return Candidate(
        coefficients=chosen,
        triples=tuple(group),
        exponent=place.exponent,
        spec=place.spec,
        network=network,
        cost=count_cost(place.spec),
        fidelity=fidelity,
        multiply_adds=place.multiply_adds,
        place=(float(middle[0]), float(middle[1]), float(middle[2])),
    )


def _spread(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Order candidates so that any first few of them cover the surface: each is the farthest from those before it."""
    waiting = list(candidates)
    first = next((one for one in waiting if one.coefficients == PAPER_COEFFICIENTS), waiting[0])
    waiting.remove(first)
    ordered = [first]
    while waiting:
        done = np.array([one.place for one in ordered])
        gaps = [float(np.square(done - np.array(one.place)).sum(axis=1).min()) for one in waiting]
        farthest = int(np.argmax(np.round(gaps, 9)))
        ordered.append(waiting.pop(farthest))
    return ordered


def narrow_base(base: ModelSpec, fidelity: Fidelity) -> tuple[ModelSpec, Fidelity]:
    """Give the base as narrow as the proxy trains it, and the fidelity that takes nothing more off its width.

    A narrow proxy rounds to multiples of eight; candidates that are scaled after it keep the finer ones.
    """
    return scale_width(base, fidelity.width), dataclasses.replace(fidelity, width=1.0)
