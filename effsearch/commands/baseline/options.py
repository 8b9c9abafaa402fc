"""What may be asked of a baseline search?"""

from dataclasses import dataclass, field
from pathlib import Path

from effsearch.commands.baseline.screen_plan import ScreenMode
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import ProxyOptions
from effsearch.search.problem import SearchSettings
from effsearch.space.budget import Budget, parse_budgets
from effsearch.space.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineOptions:
    """What a user asks of `effsearch baseline`."""

    budget: str | None
    max_params: str | None
    max_activations: str | None
    space: str
    resolution: int | None
    num_classes: int | None
    search: SearchSettings
    proxy: ProxyOptions
    has_anchors: bool
    screen: ScreenMode
    screen_minutes: float | None
    num_rungs: int | None
    warm_start: Path | None
    placement: Placement
    run: Path | None
    runs_root: Path
    is_dry_run: bool
    max_latency: str | None = None
    latency_table: Path | None = None
    storage: str | None = field(default=None, repr=False)  # a URL that may hold a password


def counted_budgets(options: BaselineOptions) -> tuple[Budget, ...]:
    """Give the budgets of what is counted; none where latency alone is bounded."""
    is_counted = (options.budget, options.max_params, options.max_activations) != (None, None, None)
    if options.max_latency is not None and not is_counted:
        return ()
    return parse_budgets(
        options.budget, max_params=options.max_params, max_activations=options.max_activations
    )


def settled_screen_mode(options: BaselineOptions) -> ScreenMode:
    """Give what is found out before any training; of its own accord nothing before a training loop of the user's."""
    if options.placement.train_function is None:
        return options.screen
    if options.placement.engine == "inline" and options.screen not in ("auto", "off"):
        raise UsageError(f"--screen {options.screen} needs workers: leave out --engine inline")
    return "off" if options.screen == "auto" else options.screen
