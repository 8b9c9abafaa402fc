import dataclasses

from effsearch.space.anchors import make_anchor
from effsearch.space.budget import parse_budget
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.cost import count_cost
from effsearch.space.scaling import scale_model
from effsearch.space.spec import ModelSpec


def test_an_anchor_that_fits_stays_as_it_is(b0: ModelSpec) -> None:
    anchor = make_anchor("efficientnet-b0", parse_budget("400M-FLOPs"), resolution=224, num_classes=10)
    assert anchor is not None
    assert (anchor.name, anchor.phi) == ("efficientnet-b0", 0.0)
    assert anchor.spec == dataclasses.replace(b0, num_classes=10)


def test_an_anchor_that_does_not_fit_shrinks_by_the_least_step(b0: ModelSpec) -> None:
    budget = parse_budget("100M-FLOPs")
    anchor = make_anchor("efficientnet-b0", budget, resolution=224, num_classes=1000)
    assert anchor is not None
    assert anchor.phi < 0
    assert anchor.name == f"efficientnet-b0 at phi {anchor.phi:g}"
    assert budget.allows(count_cost(anchor.spec))
    assert not budget.allows(count_cost(scale_model(b0, PAPER_COEFFICIENTS.multipliers(anchor.phi + 0.05))))


def test_a_budget_below_every_shrunken_anchor_has_none() -> None:
    assert make_anchor("efficientnet-b0", parse_budget("1k-FLOPs"), resolution=224, num_classes=10) is None
