"""What may a user ask of `effsearch scale`?

The settings of a search are named here and loaded elsewhere: given coefficients need neither torch nor Optuna.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from effsearch.commands.placement import Placement
from effsearch.space.family import RuleName
from effsearch.space.scaling import BuildRules

if TYPE_CHECKING:
    from effsearch.commands.proxy import ProxyOptions
    from effsearch.search.coefficients.settings import CoefficientSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOptions:
    """What a user asks of `effsearch scale`."""

    base: str | None
    rule: RuleName
    phis: Sequence[float] | None  # None where budgets are given
    budgets: str | None
    coefficients: str | None
    tolerance: float
    dwr_exponent: float
    build: BuildRules
    out: Path | None
    num_classes: int | None
    resolution: int | None
    run: Path | None
    runs_root: Path
    placement: Placement
    search: "CoefficientSettings | None"  # None where nothing is searched
    proxy: "ProxyOptions | None"  # the same; its data are empty where the base run's are meant
    storage: str | None = field(default=None, repr=False)  # a URL that may hold a password

    @property
    def needs_coefficients(self) -> bool:
        """Whether the rule scales by alpha, beta and gamma."""
        return self.rule in ("strict", "solve")
