"""What does a search find out about very many networks before it trains any by itself?

A share of the time goes into a supernet of the space and into scoring networks inside the budget with it; where
there is too little time for one, NASWOT alone is measured. All of it stands in the ledger and in the study `screen`.
"""

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from effsearch.commands.proxy import step_seconds
from effsearch.commands.recorder import Recorder
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.screen import SupernetWorker
from effsearch.proxy_train.supernet_train import SupernetSettings
from effsearch.proxy_train.worker import prepare_worker
from effsearch.results.run_dir import RunDir
from effsearch.results.supernet_files import SupernetFiles
from effsearch.search.guided import as_points, guided_points
from effsearch.search.pool import WorkerPool
from effsearch.search.problem import Problem
from effsearch.search.screen import ScreenAnswer, ScreenTask, score_networks, train_supernet
from effsearch.search.screen_prior import joined
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity
from effsearch.space.screening import IntArray, draw_inside
from effsearch.space.search_space import Point
from effsearch.space.small_images import count_removable_strides
from effsearch.space.spec import ModelSpec
from effsearch.space.supernet_work import RoundResult, ScreenScore, SupernetPlan

ScreenMode = Literal["auto", "supernet", "zero-cost", "off"]

SUPERNET_SHARE = 0.7  # of the asked time
SCORING_SHARE = 0.12  # of the asked time
LEAST_CORE_SECONDS = 240.0  # for a supernet; a younger one ranks no better than counting blocks
ROUND_SECONDS = 45.0
LEAST_MAP = 2  # pixels of the last map at the supernet's size
LEAST_RESOLUTION = 16
PATH_POOL = 4_096  # points that paths are drawn from
PATH_REACH = 2.0  # times the widest budget, for paths
LEAST_SHARE = 0.8  # of a budget
MAX_NETWORKS = 4_000
NETWORKS_WITHOUT_TIME = 500  # scored where only --trials bounds a search
CAUTION = 1.15  # a step takes longer beside others than when it was timed


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPlan:
    """What is screened, and how; stored with the run, because features of the model follow from it."""

    supernet: SupernetPlan
    has_supernet: bool
    num_networks: int
    minutes: float | None  # for the scoring; None: all the networks


def plan_screen(
    mode: ScreenMode,
    problem: Problem,
    images: ImageData,
    examples: list[ModelSpec],
    *,
    minutes: float | None,
    screen_minutes: float | None,
    num_workers: int,
    seed: int,
    stored: Mapping[str, Any] | None,
) -> ScreenPlan | None:
    """Say what will be screened; None where nothing is.

    Args:
        mode: As the user asked.
        problem: What is searched.
        images: The data.
        examples: Networks such as will be drawn, at the target.
        minutes: Of the whole search.
        screen_minutes: Asked for the supernet; None takes a share of `minutes`.
        num_workers: Replicas side by side.
        seed: Of the run.
        stored: Plan of the run that goes on, which is kept.

    Raises:
        UsageError: A supernet was asked for without a time for it, or with one that leaves none for the rest.
    """
    if screen_minutes is not None and not 0 < screen_minutes < (minutes or 1e6):
        most = "" if minutes is None else f" and below --minutes {minutes:g}"
        raise UsageError(f"--screen-minutes must be above 0{most}, got {screen_minutes:g}")
    if stored is not None:
        return stored_plan(stored)
    if mode == "off":
        return None
    if screen_minutes is None and minutes is not None:
        screen_minutes = SUPERNET_SHARE * minutes
    if mode == "supernet" and screen_minutes is None:
        raise UsageError("--screen supernet needs a time: give --minutes or --screen-minutes")
    core_seconds = (screen_minutes or 0.0) * 60 * num_workers
    has_supernet = mode == "supernet" or (mode == "auto" and core_seconds >= LEAST_CORE_SECONDS)
    fidelity = _fidelity(problem, images, examples[0])
    num_steps = num_rounds = 1
    if has_supernet:
        settings = SupernetSettings()
        seconds = CAUTION * step_seconds(examples, fidelity, images, batch_size=settings.batch_size)
        num_steps = max(1, int((screen_minutes or 0.0) * 60 / seconds))
        num_rounds = min(num_steps, max(1, round((screen_minutes or 0.0) * 60 / ROUND_SECONDS)))
    return ScreenPlan(
        supernet=SupernetPlan(
            fidelity=fidelity,
            num_steps=num_steps,
            num_rounds=num_rounds,
            num_replicas=num_workers if has_supernet else 1,
            sharing="sliced",
            seed=seed,
        ),
        has_supernet=has_supernet,
        num_networks=NETWORKS_WITHOUT_TIME if minutes is None else MAX_NETWORKS,
        minutes=None if minutes is None else SCORING_SHARE * minutes,
    )


def stored_plan(stored: Mapping[str, Any]) -> ScreenPlan:
    """Give the plan that a run's settings hold."""
    supernet = dict(stored["supernet"])
    supernet["fidelity"] = Fidelity(**supernet["fidelity"])
    return ScreenPlan(**{**stored, "supernet": SupernetPlan(**supernet)})


def run_screen(
    run: RunDir,
    plan: ScreenPlan,
    problem: Problem,
    images: ImageData,
    recorder: Recorder,
    *,
    anchors: list[Point],
    num_workers: int,
    watcher: Watcher,
) -> dict[Point, ScreenScore]:
    """Train the supernet as far as it is not trained yet, score networks, and give all scores of the run.

    Args:
        run: Where weights and scores go.
        plan: What is done.
        problem: What is searched.
        images: The data.
        recorder: The run's ledger.
        anchors: Points that are scored first.
        num_workers: Tasks side by side.
        watcher: Is shown how far it is.

    Raises:
        BudgetError: Nothing in the space fits.
        RunError: Training or scoring broke.
    """
    scores = recorder.screened(problem.space)
    started = time.monotonic()
    seconds = None if plan.minutes is None else plan.minutes * 60
    files = SupernetFiles(run.path / "supernet")
    left = plan.num_networks - len(scores)
    is_trained = not plan.has_supernet or files.next_round(plan.supernet) == plan.supernet.num_rounds
    if left <= 0 or (scores and is_trained and plan.minutes is not None):
        return scores  # an earlier call has ended the screening
    worker = SupernetWorker(handle=images.handle, space=problem.space)
    pool: WorkerPool[ScreenTask, ScreenAnswer] = WorkerPool(
        worker, num_workers=num_workers, prepare=prepare_worker
    )
    rng = np.random.default_rng(plan.supernet.seed)

    def note(round_index: int, result: RoundResult) -> None:
        files.note(round_index, result)
        _show_round(plan, round_index, result, watcher)

    try:
        weights: tuple[Path, ...] = ()
        if plan.has_supernet:
            weights = train_supernet(
                plan.supernet,
                _draw_paths(problem, rng),
                pool=pool,
                files=files,
                notify=note,
            )
        started = time.monotonic()

        def is_time_up() -> bool:
            return seconds is not None and time.monotonic() - started >= seconds

        def take(point: Point, score: ScreenScore | None) -> None:
            if score is None:
                return
            scores[point] = score
            recorder.record_screen(problem, plan.supernet, point, score)
            text = f"{len(scores):,} networks scored"
            watcher.show("screen", time.monotonic() - started, seconds, text)

        score_networks(
            plan.supernet,
            _points_to_score(problem, anchors, scores, left, rng),
            weights,
            pool=pool,
            take=take,
            is_time_up=is_time_up,
        )
    finally:
        pool.close()
        recorder.flush_screen()
    return scores


def _fidelity(problem: Problem, images: ImageData, example: ModelSpec) -> Fidelity:
    """Give the size that a supernet trains at: half the proxy's, and with it as many strides less."""
    resolution = max(min(LEAST_RESOLUTION, images.resolution), images.resolution // 2)
    num_removed = 0
    if not problem.space.has_fixed_strides:
        num_removed = count_removable_strides(example, resolution=resolution, min_map=LEAST_MAP)
    return Fidelity(
        num_images=len(images.train), num_epochs=1, resolution=resolution, num_removed_strides=num_removed
    )


def _draw_paths(problem: Problem, rng: np.random.Generator) -> list[Point]:
    """Draw the pool of paths from all that costs up to `PATH_REACH` times the widest budget.

    Larger networks than any candidate train every place more often: on NAS-Bench-Macro paths from the whole space
    ranked the networks between 40 and 50 M better (tau .67) than paths drawn among these alone (.61), both after 300
    core-seconds, though the larger ones took a quarter fewer steps.
    """
    reach = Budget(**{name: int(PATH_REACH * limit) for name, limit in problem.budget.limits().items()})
    points = draw_inside(
        problem.space,
        reach,
        PATH_POOL,
        resolution=problem.resolution,
        num_classes=problem.num_classes,
        rng=rng,
    )
    return as_points(points)


def _draw(problem: Problem, budget_index: int, num_points: int, rng: np.random.Generator) -> IntArray:
    return draw_inside(
        problem.space,
        problem.budgets[budget_index],
        num_points,
        resolution=problem.resolution,
        num_classes=problem.num_classes,
        rng=rng,
        least_share=LEAST_SHARE,
    )


def _points_to_score(
    problem: Problem,
    anchors: list[Point],
    scores: Mapping[Point, ScreenScore],
    num_points: int,
    rng: np.random.Generator,
) -> Iterator[Point]:
    """Yield the anchors' points, then others inside the budgets, no network twice."""

    def network_at(point: Point) -> str:
        spec = problem.space.spec_at(point, resolution=problem.resolution, num_classes=problem.num_classes)
        return network_hash(spec)

    known = {network_at(point) for point in scores}

    def is_new(point: Point) -> bool:
        network = network_at(point)
        if network in known:
            return False
        known.add(network)
        return True

    waves = itertools.count()

    def draw(num_points: int) -> IntArray:
        return _draw(problem, next(waves) % len(problem.budgets), num_points, rng)

    guided = guided_points(problem.space, lambda: joined(scores), draw=draw, is_new=is_new, rng=rng)
    first = [point for point in anchors if is_new(point)]
    yield from itertools.islice(itertools.chain(first, guided), num_points)


def _show_round(plan: ScreenPlan, index: int, result: RoundResult, watcher: Watcher) -> None:
    num_rounds = plan.supernet.num_rounds
    text = f"round {index + 1} of {num_rounds}, loss {result.train_loss:.2f}"
    watcher.show("supernet", index + 1, num_rounds, text)


def minutes_left(
    plan: ScreenPlan | None, minutes: float | None, *, screen_minutes: float | None
) -> float | None:
    """Give what a screening is meant to leave of a search's time; arguments as in `plan_screen`."""
    if plan is None or minutes is None:
        return minutes
    left = (1 - SCORING_SHARE) * minutes
    if plan.has_supernet:
        left -= SUPERNET_SHARE * minutes if screen_minutes is None else screen_minutes
    return max(0.0, left)


def describe_screen(plan: ScreenPlan | None) -> str:
    """Say what is screened, in one line."""
    if plan is None:
        return "screening: none"
    if not plan.has_supernet:
        return f"screening: NASWOT of up to {plan.num_networks:,} networks, no supernet"
    net = plan.supernet
    text = (
        f"screening: a supernet at {net.fidelity.resolution} px, {net.num_steps:,} steps on each of "
        f"{net.num_replicas} replica(s)"
    )
    if plan.minutes is not None:
        text += f", then {minutes_text(plan.minutes * 60)} of scoring"
    return text
