import dataclasses
from typing import Any

import numpy as np
import pytest

from effsearch.search.coefficients import candidates as module
from effsearch.search.coefficients.candidates import CandidateList, list_candidates, narrow_base, place_of
from effsearch.search.coefficients.settings import CoefficientSettings
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients, on_surface
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError, UsageError
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.proxy import fidelity_for, proxy_spec
from effsearch.space.scaling import BuildRules, scale_width
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

B0 = load_preset("efficientnet-b0")
AT_TARGET = Fidelity(num_images=100, num_epochs=1, resolution=224)
SMALL = ModelSpec(
    stem=StemSpec(out_channels=16, stride=1),
    stages=(
        StageSpec(out_channels=24, stride=1, blocks=(BlockSpec(),) * 2),
        StageSpec(out_channels=40, stride=2, blocks=(BlockSpec(),) * 3),
    ),
    head=HeadSpec(out_channels=0),
    resolution=32,
    num_classes=10,
)
COARSE = CoefficientSettings(grid_step=0.1, tolerance=0.1)


def listed(
    base: ModelSpec = SMALL,
    settings: CoefficientSettings = COARSE,
    *,
    fidelity: Fidelity | None = None,
    divisor: int = 1,
) -> CandidateList:
    return list_candidates(
        base,
        settings,
        fidelity=fidelity or Fidelity(num_images=100, num_epochs=1, resolution=32),
        num_classes=10,
        rules=BuildRules(divisor=divisor),
    )


@pytest.fixture(scope="module")
def of_b0() -> CandidateList:
    return list_candidates(
        dataclasses.replace(B0, num_classes=1000),
        CoefficientSettings(),
        fidelity=AT_TARGET,
        num_classes=1000,
        rules=BuildRules(),
    )


def test_the_grid_on_b0_at_its_own_size(of_b0: CandidateList) -> None:
    """108 points and 65 networks are the facts'. They say 76 arrive and are 39 networks, with rays walked in steps of
    .02; bisection to four decimals finds 7 points and 1 network more.
    """
    assert (of_b0.num_points, of_b0.num_networks) == (108, 65)
    assert (of_b0.num_arrived, len(of_b0.candidates)) == (83, 40)
    assert len(of_b0.left_out) == 108 - 83
    assert sum(len(candidate.triples) for candidate in of_b0.candidates) == 83


def test_who_is_a_candidate_costs_what_the_others_cost(of_b0: CandidateList) -> None:
    assert of_b0.target == 2 * count_cost(B0).multiply_adds
    for candidate in of_b0.candidates:
        assert candidate.multiply_adds == candidate.cost.multiply_adds
        assert abs(candidate.multiply_adds / of_b0.target - 1) <= 0.02
        assert candidate.coefficients in candidate.triples
        assert all(map(on_surface, candidate.triples))
    for one in of_b0.left_out:
        assert abs(one.off) > 0.02
    assert len({(one.network, one.fidelity) for one in of_b0.candidates}) == len(of_b0.candidates)
    assert of_b0.candidates[0].coefficients == PAPER_COEFFICIENTS


@pytest.mark.parametrize(("resolution", "num_removed"), [(32, 0), (16, 0), (24, 1)])
def test_cost_is_counted_as_the_proxy_trains(resolution: int, num_removed: int) -> None:
    fidelity = Fidelity(num_images=100, num_epochs=1, resolution=resolution, num_removed_strides=num_removed)
    found = listed(fidelity=fidelity)
    target = 2 * count_cost(proxy_spec(SMALL, fidelity, num_classes=10)).multiply_adds
    assert found.target == target
    for candidate in found.candidates:
        own = fidelity_for(candidate.spec, fidelity, target_resolution=SMALL.resolution)
        assert candidate.fidelity == own
        trained = count_cost(proxy_spec(candidate.spec, own, num_classes=10)).multiply_adds
        assert trained == candidate.multiply_adds
        assert abs(trained / target - 1) <= 0.02
        assert candidate.network == network_hash(candidate.spec)


def test_finer_channels_keep_more_of_the_surface_of_a_small_base() -> None:
    """Twelve channels jump to 16 or stay 8 where only multiples of eight may be had."""
    narrow = scale_width(SMALL, 0.5, BuildRules(divisor=1))
    coarse, fine = (listed(narrow, divisor=divisor) for divisor in (8, 1))
    assert len(coarse.candidates) < len(fine.candidates)


@pytest.mark.slow
def test_a_quarter_of_b0_at_32_px_needs_fine_channels() -> None:
    narrow = scale_width(B0, 0.25)
    fidelity = Fidelity(num_images=100, num_epochs=1, resolution=32, num_removed_strides=1)
    numbers = [
        (found.num_arrived, len(found.candidates))
        for divisor in (8, 1)
        for found in [listed(narrow, CoefficientSettings(), fidelity=fidelity, divisor=divisor)]
    ]
    assert numbers == [(5, 3), (24, 14)]


def test_any_first_few_candidates_cover_the_surface() -> None:
    places = listed().places
    gaps = [np.linalg.norm(places[:n] - places[n], axis=1).min() for n in range(1, len(places))]
    assert gaps == sorted(gaps, reverse=True)


def test_random_points_follow_the_seed_and_the_papers_is_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUM_RANDOM_DRAWS", 30)
    settings = CoefficientSettings(method="random", seed=4)
    one, same = listed(settings=settings), listed(settings=settings)
    assert one == same
    assert one.num_points == 31
    points = {triple for candidate in one.candidates for triple in candidate.triples}
    points |= {left.coefficients for left in one.left_out}
    assert PAPER_COEFFICIENTS in points
    other = listed(settings=dataclasses.replace(settings, seed=5))
    assert other != one


def test_a_surface_without_the_papers_triple_leaves_it_out() -> None:
    found = listed(settings=CoefficientSettings(grid_step=0.1, tolerance=0.05))
    points = [triple for candidate in found.candidates for triple in candidate.triples]
    points += [left.coefficients for left in found.left_out]
    assert PAPER_COEFFICIENTS not in points


def test_a_base_that_cannot_be_doubled_is_refused() -> None:
    """Its only block cannot be repeated, its widths jump from 8 to 16, and its map stays one pixel wide."""
    tiny = ModelSpec(
        stem=StemSpec(out_channels=8),
        stages=(StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(kind="identity"),)),),
        head=HeadSpec(out_channels=0),
        resolution=1,
        num_classes=2,
    )
    fidelity = Fidelity(num_images=100, num_epochs=1, resolution=1)
    with pytest.raises(
        SpecError, match="no coefficients lead to a network within 2% of twice this base at 1 px"
    ):
        listed(tiny, fidelity=fidelity, divisor=8)


@pytest.mark.parametrize(
    ("triple", "place"),
    [((2.0, 1.0, 1.0), (1, 0, 0)), ((1.0, 1.4, 1.0), (0, 1, 0)), ((1.0, 1.0, 1.4), (0, 0, 1))],
)
def test_places_are_shares_of_the_growth(triple: tuple[float, ...], place: tuple[float, ...]) -> None:
    alpha, beta, gamma = triple
    assert place_of(ScalingCoefficients(alpha=alpha, beta=beta, gamma=gamma)) == pytest.approx(place)
    assert sum(place_of(PAPER_COEFFICIENTS)) == pytest.approx(1)


def test_a_narrow_proxy_narrows_the_base_before_it_is_scaled() -> None:
    fidelity = dataclasses.replace(AT_TARGET, width=0.5)
    narrow, rest = narrow_base(B0, fidelity)
    assert rest == AT_TARGET
    assert proxy_spec(narrow, rest, num_classes=10) == proxy_spec(B0, fidelity, num_classes=10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_trials": 0}, "--trials must be at least 1, got 0"),
        ({"minutes": -1.0}, "--minutes must be above 0, got -1"),
        ({"num_seeds": 0}, "--seeds must be from 1 to 100, got 0"),
        ({"tolerance": 0.0}, "--tolerance must be from 0.001 to 1 in a search, got 0"),
        ({"tolerance": float("nan")}, "--tolerance must be from 0.001 to 1 in a search, got nan"),
    ],
)
def test_settings_that_make_no_search_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(COARSE, **changes)
