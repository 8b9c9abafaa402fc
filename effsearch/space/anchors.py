"""Which known networks does a search start from?"""

import dataclasses
from dataclasses import dataclass

from effsearch.space.budget import Budget
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_model
from effsearch.space.spec import ModelSpec

ANCHOR_PRESETS = ("efficientnet-b0", "mnasnet-a1")
PHI_STEP = 0.05
LEAST_PHI = -8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A known network inside the budget."""

    name: str
    phi: float  # 0 as published, below 0 shrunk by the paper's coefficients until it fits
    spec: ModelSpec


def make_anchor(preset: str, budget: Budget, *, resolution: int, num_classes: int) -> Anchor | None:
    """Give a preset at the run's resolution and classes, shrunk by the least phi < 0 that makes it fit.

    Returns:
        None where even phi = -8 does not fit.
    """
    base = dataclasses.replace(load_preset(preset), resolution=resolution, num_classes=num_classes)
    for step in range(round(-LEAST_PHI / PHI_STEP) + 1):
        phi = 0.0 - round(step * PHI_STEP, 2)
        spec = scale_model(base, PAPER_COEFFICIENTS.multipliers(phi)) if step else base
        if budget.allows(count_cost(spec)):
            return Anchor(name=f"{preset} at phi {phi:g}" if step else preset, phi=phi, spec=spec)
    return None
