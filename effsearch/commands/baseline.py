"""effsearch baseline: find the best network inside a budget."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from effsearch.commands import proxy
from effsearch.commands.baseline_plan import plan_report, say_plan
from effsearch.commands.baseline_report import make_report
from effsearch.commands.explain import explain_run
from effsearch.commands.inputs import read_space, read_text
from effsearch.commands.proxy import ProxyOptions
from effsearch.commands.recorder import Recorder
from effsearch.commands.screen_plan import ScreenMode, ScreenPlan, describe_screen, minutes_left, plan_screen
from effsearch.commands.screening import run_screen
from effsearch.commands.studies import Studies
from effsearch.commands.warm_start import read_earlier, space_hash
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.results.certificate import words_of_run
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.front import draw_front
from effsearch.results.plots.save import save_figure
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.search.baseline import BaselineResult, search_baseline
from effsearch.search.fidelity import (
    ENOUGH_AFTER_SCREENING,
    ENOUGH_TRAININGS,
    FidelityChoice,
    default_num_rungs,
    make_rungs,
)
from effsearch.search.make_proposer import make_proposer
from effsearch.search.problem import Problem, Progress, SearchSettings
from effsearch.search.ranking import reward
from effsearch.search.time_limit import relative_cost
from effsearch.space.anchors import ANCHOR_PRESETS, Anchor, make_anchor
from effsearch.space.budget import Budget, parse_budgets, short_count
from effsearch.space.errors import EffsearchError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity
from effsearch.space.screening import UPPER_SHARE, draw_inside
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.shipped_spaces import shipped_space_names
from effsearch.space.spec import ModelSpec
from effsearch.space.supernet_work import ScreenScore

FREE_SETTINGS = frozenset({"num_trials", "minutes", "num_workers"})
DEFAULT_RESOLUTION = 224
NUM_TIMED_NETWORKS = 2  # beside the anchors, to predict the time of a training
LEAST_MINUTES = 0.01  # for the trainings, where the screening took all the time


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
    num_workers: int | None
    run: Path | None
    runs_root: Path
    is_dry_run: bool


def run_baseline(options: BaselineOptions, watcher: Watcher) -> dict[str, Any]:
    """Search, write the run directory, and give the report (or, for a dry run, the plan) as JSON values."""
    budgets = parse_budgets(
        options.budget, max_params=options.max_params, max_activations=options.max_activations
    )
    space = read_space(options.space)
    resolution = options.resolution or space.resolution or DEFAULT_RESOLUTION
    search = options.search
    if search.objective == "reward":
        reward(0.5, multiply_adds=1, target=budgets[-1].multiply_adds, exponent=search.reward_exponent)
    if options.num_classes is not None:  # cheap to find out before any image is decoded
        _draw_some(space, budgets, resolution, options.num_classes)
    earlier = None if options.warm_start is None else read_earlier(options.warm_start, space)
    images = proxy.load_proxy_images(options.proxy, watcher)
    num_classes = options.num_classes or images.num_classes
    examples = _draw_some(space, budgets, resolution, num_classes)
    anchors = _anchors(budgets, resolution, num_classes) if options.has_anchors else ()
    num_workers = proxy.default_num_workers(options.num_workers)
    timed = examples + [anchor.spec for anchor in anchors if anchor.phi == 0]
    problem = Problem(
        space=space,
        budgets=budgets,
        resolution=resolution,
        num_classes=num_classes,
        rungs=(Fidelity(num_images=1, num_epochs=1, resolution=images.resolution),),  # planned below
        anchors=anchors,
    )
    screen = plan_screen(
        options.screen,
        problem,
        images,
        timed,
        minutes=search.minutes,
        screen_minutes=options.screen_minutes,
        num_trials=search.num_trials,
        num_workers=num_workers,
        sampler=search.sampler,
        seed=search.seed,
        stored=proxy.stored_setting(options.run, "screen"),
    )
    choice = proxy.plan_fidelity(
        options.proxy,
        images,
        timed,
        stored=proxy.stored_fidelity(options.run),
        has_fixed_strides=space.has_fixed_strides,
        minutes=minutes_left(screen, search.minutes, screen_minutes=options.screen_minutes),
        num_workers=num_workers,
        enough=ENOUGH_TRAININGS if screen is None or not screen.has_supernet else ENOUGH_AFTER_SCREENING,
    )
    num_rungs = (
        options.num_rungs
        or proxy.stored_setting(options.run, "num_rungs")
        or default_num_rungs(choice.num_trainings if search.minutes is not None else search.num_trials or 1)
    )
    rungs = make_rungs(choice.fidelity, num_rungs=num_rungs, reduction=search.reduction)
    problem = dataclasses.replace(problem, rungs=rungs)
    watcher.say(describe_screen(screen))
    say_plan(choice, rungs, search, num_workers, watcher)
    if options.is_dry_run:
        return plan_report(problem, choice, search, num_workers)
    settings = {
        "budget": "; ".join(map(str, budgets)),
        "budget_limits": budgets[-1].limits(),
        "budgets": [budget.limits() for budget in budgets],
        "space": space.name,
        "space_hash": space_hash(space),
        "data": options.proxy.data,
        "data_fingerprint": images.fingerprint,
        "resolution": resolution,
        "image_resolution": images.resolution,
        "num_classes": num_classes,
        **dataclasses.asdict(search),
        "fidelity": dataclasses.asdict(choice.fidelity),
        "num_rungs": num_rungs,
        "screen": None if screen is None else dataclasses.asdict(screen),
        "warm_start": None if options.warm_start is None else str(options.warm_start),
        "training": proxy.train_settings_record(),
        "num_workers": num_workers,
    }
    with create_or_resume(
        options.run,
        command="baseline",
        settings=settings,
        free_settings=FREE_SETTINGS,
        now=datetime.now(UTC),
        runs_root=options.runs_root,
    ) as run:
        watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
        if options.space not in shipped_space_names():
            run.write_space(read_text(Path(options.space), what="space file"))
        result = _search(run, problem, search, screen, images, num_workers, choice, earlier, watcher)
        report = make_report(run, problem, search, result)
        run.write_result(report)  # before anything else can go wrong
        report["certificate"], report["explanation"] = _comments(run, watcher)
        run.write_result(report)
        save_figure(draw_front(collect_front([run.path])), run.plots_path / "front.png")
    return report


def _comments(run: RunDir, watcher: Watcher) -> tuple[str | None, list[str]]:
    """Say what the certificate says, and which choices mattered; nothing where too few networks were trained."""
    certificate, explanation = None, []
    try:
        certificate = words_of_run(run.path)
        explanation = list(explain_run(run.path)["words"])
    except UsageError:
        pass
    except EffsearchError as error:
        watcher.say(f"the search has ended well, but: {error}")
    return certificate, explanation


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


def _search(
    run: RunDir,
    problem: Problem,
    settings: SearchSettings,
    screen: ScreenPlan | None,
    images: ImageData,
    num_workers: int,
    choice: FidelityChoice,
    earlier: Sequence[Evaluation] | None,
    watcher: Watcher,
) -> BaselineResult:
    started = time.monotonic()
    recorder = Recorder(run, images)
    studies = Studies(run, problem, settings)
    try:
        history = recorder.history()
        screened: dict[Point, ScreenScore] = {}
        if screen is not None:
            screened = run_screen(
                run,
                screen,
                problem,
                images,
                recorder,
                anchors=_points_of_anchors(problem),
                wants_front=settings.second_objective is not None,
                num_workers=num_workers,
                watcher=watcher,
            )
            studies.add_screened(screened)
        for evaluation in history:
            studies.add(evaluation)

        def record(evaluation: Evaluation) -> None:
            recorder.record(evaluation)
            studies.add(evaluation)

        if settings.minutes is not None:  # what the screening took is gone
            left = settings.minutes - (time.monotonic() - started) / 60
            settings = dataclasses.replace(settings, minutes=max(left, LEAST_MINUTES))
        proposer = make_proposer(
            problem, settings, screened=screened, earlier=earlier or (), seed=settings.seed + len(history)
        )
        with proxy.local_executor(images, num_workers) as executor:
            return search_baseline(
                problem,
                settings,
                executor=executor,
                proposer=proposer,
                clock=time.monotonic,
                record=record,
                history=history,
                expected_seconds=choice.seconds
                * relative_cost(problem.rungs[0])
                / relative_cost(choice.fidelity),
                notify=lambda progress: _show(progress, settings, watcher),
            )
    finally:
        recorder.close()


def _points_of_anchors(problem: Problem) -> list[Point]:
    points = [
        problem.space.find_point(anchor.spec)
        for anchor in problem.anchors
        if anchor.spec.resolution == problem.resolution
    ]
    return [point for point in points if point is not None]


def _show(progress: Progress, settings: SearchSettings, watcher: Watcher) -> None:
    last = progress.last
    if last is not None and last.failure:
        watcher.say(f"{last.job.name} failed: {last.failure}")
    best = progress.best
    words = [
        f"{progress.num_done} trained" if progress.phase == "trials" else f"{progress.num_done} confirmed"
    ]
    if best is not None and best.result is not None:
        words.append(
            f"best {best.result.val_accuracy:.1%} ({best.job.name}, {short_count(best.job.cost.multiply_adds)})"
        )
    if progress.num_failed:
        words.append(f"{progress.num_failed} failed")
    if settings.minutes is not None:
        left = max(0.0, settings.minutes * 60 - progress.seconds)
        words.append(f"{minutes_text(left)} left")
        watcher.show("search", progress.seconds, settings.minutes * 60, ", ".join(words))
    else:
        total = settings.num_trials if progress.phase == "trials" else None
        watcher.show("search" if total else "confirm", progress.num_done, total, ", ".join(words))
