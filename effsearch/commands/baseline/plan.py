"""What was asked of a baseline search, and what will be done for it?

Everything that a search needs is found out here, before a run directory exists.
"""

from effsearch.commands import proxy
from effsearch.commands.baseline.examples import draw_examples, fitting_anchors
from effsearch.commands.baseline.latency_plan import minutes_beside, plan_latency
from effsearch.commands.baseline.options import BaselineOptions, counted_budgets, settled_screen_mode
from effsearch.commands.baseline.screen_plan import (
    ScreenPlan,
    check_screen,
    minutes_after,
    plan_screen,
)
from effsearch.commands.baseline.settings import known_settings
from effsearch.commands.baseline.settled import BaselinePlan
from effsearch.commands.baseline.warm_start import read_earlier
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.inputs import read_space
from effsearch.commands.latency_table import named_table
from effsearch.commands.placement import PLACEMENT_SETTINGS
from effsearch.commands.recorder import TIMED_KINDS
from effsearch.commands.watching import Watcher
from effsearch.results.journal_file import require_sound_journal
from effsearch.results.ledger import read_entries
from effsearch.results.run_files import LEDGER_FILE, is_run
from effsearch.results.run_settings import refuse_foreign, refuse_other_settings
from effsearch.results.spent import seconds_spent, start_times
from effsearch.search.fidelity import (
    ENOUGH_AFTER_SCREENING,
    ENOUGH_TRAININGS,
    continue_rungs,
    default_num_rungs,
    make_rungs,
)
from effsearch.search.problem import Problem
from effsearch.search.ranking import reward
from effsearch.space.budget import parse_latency, short_time, with_latency
from effsearch.space.errors import UsageError

DEFAULT_RESOLUTION = 224
FREE_SETTINGS = frozenset({"num_trials", "minutes", "storage"}) | PLACEMENT_SETTINGS
FEWEST_CLASSES = 2  # that images can have


def plan_baseline(options: BaselineOptions, watcher: Watcher) -> BaselinePlan:
    """Read what was named, load the images, time a few networks, and settle what is left open.

    Raises:
        EffsearchError: Something that was named cannot be read, or nothing fits.
    """
    budgets = counted_budgets(options)
    limit = None if options.max_latency is None else parse_latency(options.max_latency)
    if limit is None and options.latency_table is not None:
        raise UsageError("--latency-table says how latency is predicted: give --max-latency")
    if options.latency_table is not None:
        named_table(options.latency_table, options.run)
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
    require_sound_journal(options.run)
    known = known_settings(options, space, budgets=budgets, limit=limit, resolution=resolution)
    refuse_other_settings(options.run, "baseline", known, free_settings=FREE_SETTINGS)
    screen_mode = settled_screen_mode(options)
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
        draw_examples(space, budgets, resolution, options.num_classes or FEWEST_CLASSES)
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
            space_name=options.space,
            run=options.run,
            file=options.latency_table,
            resolution=resolution,
            num_classes=num_classes,
            watcher=watcher,
        )
        budgets = with_latency(budgets, latency.held_to, latency.table)
    minutes = minutes_beside(search.minutes, latency)
    examples = draw_examples(space, budgets, resolution, num_classes)
    anchors = fitting_anchors(budgets, resolution, num_classes) if options.has_anchors else ()
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


def _minutes_for_trainings(
    options: BaselineOptions, minutes: float | None, screen: ScreenPlan | None
) -> float | None:
    """Give what is left for trainings: of a run that goes on what it has not spent, else all but the screening."""
    if minutes is not None and options.run is not None and (options.run / LEDGER_FILE).is_file():
        entries = [one for one in read_entries(options.run / LEDGER_FILE) if one.kind in TIMED_KINDS]
        return max(0.0, minutes - seconds_spent(options.run, entries) / 60)
    return minutes_after(screen, minutes, screen_minutes=options.screen_minutes)


def _continues_rungs(options: BaselineOptions) -> bool:
    """Tell whether promoted networks go on from the weights of the rung below.

    All do but those of runs from before that was so, those whose training times are weighed, which compare only where
    all trainings of a rung take the same steps, and those of a training loop that effsearch does not know.
    """
    if options.search.step_time_exponent or options.placement.train_function is not None:
        return False
    is_new = options.run is None or not is_run(options.run)
    return is_new or proxy.stored_setting(options.run, proxy.CONTINUES_RUNGS) is True
