from collections.abc import Callable

import pytest

from effsearch.search.coefficients.candidates import Candidate, CandidateList, place_of
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients, coefficient_grid
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Fidelity
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

MakeList = Callable[[int], CandidateList]


def triples(number: int) -> list[ScalingCoefficients]:
    return [PAPER_COEFFICIENTS, *(point for point in coefficient_grid() if point != PAPER_COEFFICIENTS)][
        :number
    ]


def make_candidate(index: int, coefficients: ScalingCoefficients) -> Candidate:
    """A candidate whose width is its number, so that a formula can know it."""
    spec = ModelSpec(
        stages=(StageSpec(out_channels=1 + index, stride=1, blocks=(BlockSpec(),)),),
        resolution=8,
        num_classes=2,
    )
    return Candidate(
        coefficients=coefficients,
        triples=(coefficients,),
        exponent=1.0,
        spec=spec,
        network=network_hash(spec),
        cost=count_cost(spec),
        fidelity=Fidelity(num_images=100, num_epochs=1, resolution=8),
        multiply_adds=1000,
        place=place_of(coefficients),
    )


@pytest.fixture(scope="session")
def make_list() -> MakeList:
    """Makes so many candidates out of nothing."""

    def make(number: int) -> CandidateList:
        candidates = tuple(make_candidate(index, point) for index, point in enumerate(triples(number)))
        return CandidateList(
            candidates=candidates, left_out=(), num_points=number, num_networks=number, target=1000.0
        )

    return make
