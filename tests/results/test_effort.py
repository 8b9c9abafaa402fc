"""What fidelities cost beside one another."""

from effsearch.results.effort import fidelity_effort

FIRST = {"num_images": 1000.0, "num_epochs": 2.0, "resolution": 16.0}


def test_a_stage_that_goes_on_costs_what_both_do() -> None:
    second = FIRST | {"num_epochs": 1.0, "resolution": 32.0, "width": 0.5}
    assert fidelity_effort(FIRST) == 1000 * 2 * 16**2
    assert fidelity_effort(second) == 1000 * 32**2 * 0.25
    both = fidelity_effort(FIRST) + fidelity_effort(second)
    assert fidelity_effort(second | {"continues": FIRST}) == both
    assert fidelity_effort(FIRST | {"continues": second | {"continues": FIRST}}) == both + fidelity_effort(
        FIRST
    )


def test_what_is_no_number_costs_nothing() -> None:
    assert fidelity_effort({"num_images": "many"}) == 0
    assert fidelity_effort({"resolution": None}) == 0
    assert fidelity_effort({"resolution": 10**400}) == 0
