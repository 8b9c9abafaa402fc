"""What is stored of what a baseline search was asked and what was settled, and how much of it is known at once?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from effsearch.commands import proxy
from effsearch.commands.baseline.options import BaselineOptions
from effsearch.commands.baseline.screen_plan import stored_form
from effsearch.commands.baseline.settled import BaselinePlan
from effsearch.results.latency_file import has_table, read_run_table
from effsearch.results.run_settings import NOT_SET
from effsearch.space.budget import Budget, with_latency
from effsearch.space.canonical import space_hash
from effsearch.space.outcome import ContinuedFidelity
from effsearch.space.search_space import SearchSpace


def known_settings(
    options: BaselineOptions,
    space: SearchSpace,
    *,
    budgets: Sequence[Budget],
    limit: int | None,
    resolution: int,
) -> dict[str, Any]:
    """Give those of `run_settings` that hang on no image and no measurement; see `refuse_other_settings`.

    Args:
        options: What the user says.
        space: What is searched.
        budgets: Bounds of what is counted.
        limit: Nanoseconds that a network may take; None where nobody bounds them.
        resolution: Pixels at which the budgets are counted.
    """
    known = _asked(options, space) | proxy.named_fidelity(options.proxy, options.run)
    known |= {"resolution": resolution, "max_latency_nanoseconds": NOT_SET if limit is None else limit}
    if options.num_classes is not None:
        known["num_classes"] = options.num_classes
    if options.num_rungs is not None:
        known["num_rungs"] = options.num_rungs
    if limit is None:
        return known | _stored_budgets(budgets)
    if (
        options.run is not None
        and has_table(options.run)
        and proxy.stored_setting(options.run, "max_latency_nanoseconds") == limit
    ):
        table = read_run_table(options.run).table
        return known | _stored_budgets(with_latency(budgets, table.held_to(limit), table))
    return known


def run_settings(plan: BaselinePlan, options: BaselineOptions) -> dict[str, Any]:
    """Give the settings that are stored with the run: what was asked, and what was settled.

    What came later is stored where it says something, so that runs from before it go on.
    """
    problem = plan.problem
    is_continued = isinstance(problem.rungs[-1], ContinuedFidelity)
    return {
        **_stored_budgets(problem.budgets),
        **({} if plan.latency is None else {"max_latency_nanoseconds": plan.latency.limit}),
        **_asked(options, problem.space),
        "data_fingerprint": plan.images.fingerprint,
        "resolution": problem.resolution,
        "image_resolution": plan.images.resolution,
        "num_classes": problem.num_classes,
        "fidelity": dataclasses.asdict(plan.choice.fidelity),
        "num_rungs": plan.num_rungs,
        **({proxy.CONTINUES_RUNGS: True} if is_continued else {}),
        "screen": None if plan.screen is None else stored_form(plan.screen),
        **plan.placement.to_settings(),
    }


def _asked(options: BaselineOptions, space: SearchSpace) -> dict[str, Any]:
    search = dataclasses.asdict(options.search)
    for name in ("step_time_exponent", "parameters_exponent"):
        if not search[name]:
            del search[name]
    return {
        "space": space.name,
        "space_hash": space_hash(space),
        "data": options.proxy.data,
        **search,
        "screen_mode": options.screen,
        "screen_minutes": options.screen_minutes,
        "warm_start": None if options.warm_start is None else str(options.warm_start),
        "training": proxy.placed_settings_record(options.placement),
    }


def _stored_budgets(budgets: Sequence[Budget]) -> dict[str, Any]:
    return {
        "budget": "; ".join(map(str, budgets)),
        "budget_limits": budgets[-1].limits(),
        "budgets": [budget.limits() for budget in budgets],
    }
