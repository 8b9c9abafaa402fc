import dataclasses
import json
from typing import Any

import pytest

from effsearch.space.errors import SpecError
from effsearch.space.outcome import ContinuedFidelity, Fidelity, derive_seed, fidelity_from


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_images", 0, "num_images must be at least 1, got 0"),
        ("num_epochs", -1, "num_epochs must be at least 1, got -1"),
        ("resolution", 0, "resolution must be at least 1, got 0"),
        ("width", 0.0, "width must be above 0 and at most 8, got 0.0"),
        ("width", 9.0, "width must be above 0 and at most 8, got 9.0"),
        ("num_removed_strides", -1, "num_removed_strides must not be negative, got -1"),
    ],
)
def test_fidelities_that_train_nothing_are_refused(field: str, value: Any, message: str) -> None:
    values: dict[str, Any] = {"num_images": 1, "num_epochs": 1, "resolution": 1, field: value}
    with pytest.raises(SpecError, match=message):
        Fidelity(**values)


def test_seeds_hang_on_run_network_and_replicate_alone() -> None:
    seeds = {
        derive_seed(run_seed, network, replicate)
        for run_seed in range(3)
        for network in ("a1b2", "c3d4")
        for replicate in range(3)
    }
    assert len(seeds) == 18
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "a1b2", 0) == 1_313_535_414  # stored in ledgers: a change makes resumes train anew


# Fidelities that go on from another's weights

FIRST = Fidelity(num_images=10, num_epochs=1, resolution=16, width=0.5, num_removed_strides=1)
SECOND = ContinuedFidelity(**{**dataclasses.asdict(FIRST), "resolution": 23}, continues=FIRST)
THIRD = ContinuedFidelity(**{**dataclasses.asdict(FIRST), "resolution": 32}, continues=SECOND)


def test_stages_are_given_first_to_last_as_fidelities_of_their_own() -> None:
    assert FIRST.stages == (FIRST,)
    assert [stage.resolution for stage in THIRD.stages] == [16, 23, 32]
    assert {type(stage) for stage in THIRD.stages} == {Fidelity}
    assert dataclasses.replace(FIRST, resolution=32) != THIRD  # the same last stage is not the same training


@pytest.mark.parametrize("fidelity", [FIRST, SECOND, THIRD])
def test_a_fidelity_round_trips_through_its_fields_by_name(fidelity: Fidelity) -> None:
    record = json.loads(json.dumps(dataclasses.asdict(fidelity)))
    assert fidelity_from(record) == fidelity
    assert ("continues" in record) is (fidelity != FIRST)


@pytest.mark.parametrize("change", [{"width": 1.0}, {"num_removed_strides": 0}])
def test_weights_do_not_go_on_in_a_network_of_another_shape(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="weights go on at the width and strides that they were trained with"):
        dataclasses.replace(SECOND, **change)


WHOLE = dataclasses.asdict(FIRST)


@pytest.mark.parametrize("record", [{}, {"num_images": 1}, {**WHOLE, "lr": 1}, {**WHOLE, "width": "x"}])
def test_what_is_no_fidelity_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="no fidelity"):
        fidelity_from(record)
