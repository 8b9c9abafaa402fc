"""What was asked of a baseline search, and what will be done for it?

Everything that a search needs is found out here, before a run directory exists.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from effsearch.commands import proxy
from effsearch.commands.baseline.latency_plan import LatencyPlan, minutes_beside, plan_latency
from effsearch.commands.baseline.screen_plan import (
    ScreenMode,
    ScreenPlan,
    check_screen,
    minutes_after,
    plan_screen,
    stored_form,
)
from effsearch.commands.baseline.warm_start import read_earlier
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.inputs import read_space
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import ProxyOptions
from effsearch.commands.recorder import TIMED_KINDS
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.results.ledger import read_entries
from effsearch.results.run_files import LEDGER_FILE, is_run
from effsearch.results.run_settings import refuse_foreign
from effsearch.results.spent import seconds_spent, start_times
from effsearch.search.fidelity import (
    ENOUGH_AFTER_SCREENING,
    ENOUGH_TRAININGS,
    FidelityChoice,
    continue_rungs,
    default_num_rungs,
    make_rungs,
)
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.ranking import reward
from effsearch.space.anchors import ANCHOR_PRESETS, Anchor, make_anchor
from effsearch.space.budget import Budget, parse_budgets, parse_latency, short_time, with_latency
from effsearch.space.canonical import space_hash
from effsearch.space.errors import UsageError
from effsearch.space.outcome import ContinuedFidelity, Evaluation
from effsearch.space.screening import UPPER_SHARE, draw_inside
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

DEFAULT_RESOLUTION = 224
FEWEST_CLASSES = 2  # that images can have
NUM_TIMED_NETWORKS = 2  # beside the anchors, to predict the time of a training


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePlan:
    """What will be done."""

    problem: Problem
    search: SearchSettings
    images: ImageData
    screen: ScreenPlan | None
    choice: FidelityChoice  # of the top rung
    num_rungs: int
    placement: Placement
    earlier: tuple[Evaluation, ...]  # of a run of the same space
    latency: LatencyPlan | None = None


def plan_baseline(options: BaselineOptions, watcher: Watcher) -> BaselinePlan:
    """Read what was named, load the images, time a few networks, and settle what is left open.

    Raises:
        EffsearchError: Something that was named cannot be read, or nothing fits.
    """
    budgets = _counted_budgets(options)
    limit = None if options.max_latency is None else parse_latency(options.max_latency)
    if limit is None and options.latency_table is not None:
        raise UsageError("--latency-table says how latency is predicted: give --max-latency")
    if options.run is not None and is_run(options.run):
        start_times(options.run)  # what cannot be read of the run is found out before anything costs time
    space = read_space(options.space)
    resolution = options.resolution or space.resolution or DEFAULT_RESOLUTION
    search = options.search
    if search.objective == "reward":
        reward(
            0.5,
            multiply_adds=1,
            parameters=1,
            step_time=1.0,
            target=budgets[-1].multiply_adds if budgets else None,
            exponents=search.reward_exponents,
        )
    refuse_foreign(options.run, command="baseline")
    screen_mode = _screen_mode(options)
    stored_screen = proxy.stored_setting(options.run, "screen")
    check_screen(
        screen_mode,
        minutes=search.minutes,
        screen_minutes=options.screen_minutes,
        sampler=search.sampler,
        stored=stored_screen,
    )
    # Cheap to find out before any image is decoded: what does not fit with few classes fits with no more.
    if budgets:
        _draw_some(space, budgets, resolution, options.num_classes or FEWEST_CLASSES)
    earlier = () if options.warm_start is None else tuple(read_earlier(options.warm_start, space))
    if options.warm_start is not None:
        watcher.say(f"warm start: {len(earlier)} trainings of {options.warm_start}")
    images = proxy.load_proxy_images(options.proxy, watcher)
    num_classes = options.num_classes or images.num_classes
    latency = None
    if limit is not None:
        latency = plan_latency(
            limit,
            space,
            run=options.run,
            file=options.latency_table,
            resolution=resolution,
            num_classes=num_classes,
            watcher=watcher,
        )
        budgets = with_latency(budgets, latency.held_to, latency.table)
    minutes = minutes_beside(search.minutes, latency)
    examples = _draw_some(space, budgets, resolution, num_classes)
    anchors = _anchors(budgets, resolution, num_classes) if options.has_anchors else ()
    if latency is not None and options.has_anchors and not anchors:
        watcher.say(
            f"no known network keeps to {short_time(latency.held_to)}, shrunk as it may be: no anchors"
        )
    timed = examples + [anchor.spec for anchor in anchors if anchor.phi == 0]
    placement = fill_gpus(
        options.placement,
        images,
        timed,
        fidelity=proxy.settled_fidelity(
            options.proxy,
            images,
            timed[0],
            stored=proxy.stored_fidelity(options.run),
            has_fixed_strides=space.has_fixed_strides,
        ),
        watcher=watcher,
    )
    screen = plan_screen(
        screen_mode,
        images,
        timed,
        has_fixed_strides=space.has_fixed_strides,
        minutes=minutes,
        screen_minutes=options.screen_minutes,
        num_trials=search.num_trials,
        num_workers=placement.num_workers,
        device=placement.device,
        sampler=search.sampler,
        seed=search.seed,
        stored=stored_screen,
    )
    choice = proxy.plan_fidelity(
        options.proxy,
        images,
        timed,
        stored=proxy.stored_fidelity(options.run),
        has_fixed_strides=space.has_fixed_strides,
        minutes=_minutes_for_trainings(options, minutes, screen),
        num_workers=placement.num_workers,
        device=placement.device,
        precision=placement.precision,
        train_function=placement.train_function,
        enough=ENOUGH_TRAININGS if screen is None or not screen.has_supernet else ENOUGH_AFTER_SCREENING,
    )
    num_rungs = (
        options.num_rungs
        or proxy.stored_setting(options.run, "num_rungs")
        or default_num_rungs(choice.num_trainings if search.minutes is not None else search.num_trials or 1)
    )
    rungs = make_rungs(choice.fidelity, num_rungs=num_rungs, reduction=search.reduction)
    if len(rungs) > 1 and _continues_rungs(options):
        rungs = continue_rungs(rungs)
    problem = Problem(
        space=space,
        budgets=budgets,
        resolution=resolution,
        num_classes=num_classes,
        rungs=rungs,
        anchors=anchors,
    )
    return BaselinePlan(
        problem=problem,
        search=search,
        images=images,
        screen=screen,
        choice=choice,
        num_rungs=num_rungs,
        placement=placement,
        earlier=earlier,
        latency=latency,
    )


def _counted_budgets(options: BaselineOptions) -> tuple[Budget, ...]:
    """Give the budgets of what is counted; none where latency alone is bounded."""
    is_counted = (options.budget, options.max_params, options.max_activations) != (None, None, None)
    if options.max_latency is not None and not is_counted:
        return ()
    return parse_budgets(
        options.budget, max_params=options.max_params, max_activations=options.max_activations
    )


def _minutes_for_trainings(
    options: BaselineOptions, minutes: float | None, screen: ScreenPlan | None
) -> float | None:
    """Give what is left for trainings: of a run that goes on what it has not spent, else all but the screening."""
    if minutes is not None and options.run is not None and (options.run / LEDGER_FILE).is_file():
        entries = [one for one in read_entries(options.run / LEDGER_FILE) if one.kind in TIMED_KINDS]
        return max(0.0, minutes - seconds_spent(options.run, entries) / 60)
    return minutes_after(screen, minutes, screen_minutes=options.screen_minutes)


def run_settings(plan: BaselinePlan, options: BaselineOptions) -> dict[str, Any]:
    """Give the settings that are stored with the run: what was asked, and what was settled.

    What came later is stored where it says something, so that runs from before it go on.
    """
    problem = plan.problem
    search = dataclasses.asdict(plan.search)
    for name in ("step_time_exponent", "parameters_exponent"):
        if not search[name]:
            del search[name]
    is_continued = isinstance(problem.rungs[-1], ContinuedFidelity)
    return {
        "budget": "; ".join(map(str, problem.budgets)),
        "budget_limits": problem.budget.limits(),
        "budgets": [budget.limits() for budget in problem.budgets],
        **({} if plan.latency is None else {"max_latency_nanoseconds": plan.latency.limit}),
        "space": problem.space.name,
        "space_hash": space_hash(problem.space),
        "data": options.proxy.data,
        "data_fingerprint": plan.images.fingerprint,
        "resolution": problem.resolution,
        "image_resolution": plan.images.resolution,
        "num_classes": problem.num_classes,
        **search,
        "fidelity": dataclasses.asdict(plan.choice.fidelity),
        "num_rungs": plan.num_rungs,
        **({proxy.CONTINUES_RUNGS: True} if is_continued else {}),
        "screen_mode": options.screen,
        "screen_minutes": options.screen_minutes,
        "screen": None if plan.screen is None else stored_form(plan.screen),
        "warm_start": None if options.warm_start is None else str(options.warm_start),
        "training": proxy.train_settings_record(
            device=plan.placement.device,
            precision=plan.placement.precision,
            train_function=plan.placement.train_function,
        ),
        **plan.placement.to_settings(),
    }


def _screen_mode(options: BaselineOptions) -> ScreenMode:
    """Give what is found out before any training; of its own accord nothing before a training loop of the user's."""
    if options.placement.train_function is None:
        return options.screen
    if options.placement.engine == "inline" and options.screen not in ("auto", "off"):
        raise UsageError(f"--screen {options.screen} needs workers: leave out --engine inline")
    return "off" if options.screen == "auto" else options.screen


def _continues_rungs(options: BaselineOptions) -> bool:
    """Tell whether promoted networks go on from the weights of the rung below.

    All do but those of runs from before that was so, those whose training times are weighed, which compare only where
    all trainings of a rung take the same steps, and those of a training loop that effsearch does not know.
    """
    if options.search.step_time_exponent or options.placement.train_function is not None:
        return False
    is_new = options.run is None or not is_run(options.run)
    return is_new or proxy.stored_setting(options.run, proxy.CONTINUES_RUNGS) is True


def _draw_some(
    space: SearchSpace, budgets: Sequence[Budget], resolution: int, num_classes: int
) -> list[ModelSpec]:
    """Draw a few networks from each upper budget; raises where nothing fits."""
    specs = []
    for budget in budgets:
        points = draw_inside(
            space,
            budget,
            NUM_TIMED_NETWORKS,
            resolution=resolution,
            num_classes=num_classes,
            rng=np.random.default_rng(0),
            least_share=UPPER_SHARE,
        )
        specs += [
            space.spec_at(point, resolution=resolution, num_classes=num_classes) for point in points.tolist()
        ]
    return specs


def _anchors(budgets: Sequence[Budget], resolution: int, num_classes: int) -> tuple[Anchor, ...]:
    """Give the known networks that each budget holds, shrunk where they do not fit, each once."""
    found = [
        make_anchor(preset, budget, resolution=resolution, num_classes=num_classes)
        for budget in reversed(budgets)
        for preset in ANCHOR_PRESETS
    ]
    return tuple({anchor.name: anchor for anchor in found if anchor is not None}.values())
