"""Which known networks does a search start from?"""

from dataclasses import dataclass, replace

from effsearch.space.budget import Budget
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_model
from effsearch.space.spec import ModelSpec

ANCHOR_PRESETS = ("efficientnet-b0", "mnasnet-a1")
PHI_STEP = 0.05
LEAST_PHI = -8.0
TIMED_PHI_STEP = 0.5  # of the sizes in a latency table: blocks have to be timed, one by one
LEAST_TIMED_PHI = -5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A known network inside the budget."""

    name: str
    phi: float  # 0 as published, below 0 shrunk by the paper's coefficients until it fits
    spec: ModelSpec


def make_anchor(preset: str, budget: Budget, *, resolution: int, num_classes: int) -> Anchor | None:
    """Give a preset at the run's resolution and classes, shrunk by the least phi < 0 that makes it fit.

    Returns:
        None where even phi = -8 does not fit. Under a bound on latency a phi counts only where the budget's table
        knows all blocks; what `anchor_sizes` gives is timed for every table.
    """
    table = budget.latency_table
    base = replace(load_preset(preset), resolution=resolution, num_classes=num_classes)
    for step in range(round(-LEAST_PHI / PHI_STEP) + 1):
        phi = 0.0 - round(step * PHI_STEP, 2)
        spec = scale_model(base, PAPER_COEFFICIENTS.multipliers(phi)) if step else base
        if table is not None and not table.knows(spec):
            continue
        if budget.allows(count_cost(spec, table)):
            return Anchor(name=f"{preset} at phi {phi:g}" if step else preset, phi=phi, spec=spec)
    return None


def anchor_sizes(*, resolution: int, num_classes: int) -> list[ModelSpec]:
    """Give the presets at the sizes that a latency table is measured for: phi = 0, -0.5, -1, ...."""
    return [
        scale_model(base, PAPER_COEFFICIENTS.multipliers(-TIMED_PHI_STEP * step)) if step else base
        for preset in ANCHOR_PRESETS
        for base in [replace(load_preset(preset), resolution=resolution, num_classes=num_classes)]
        for step in range(round(-LEAST_TIMED_PHI / TIMED_PHI_STEP) + 1)
    ]
