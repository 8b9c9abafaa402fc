"""What does a search find out about very many networks before it trains any by itself?

The supernet is trained and networks are scored as `screen_plan` says. All of it stands in the ledger.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from effsearch.commands.baseline.screen_plan import ROUND_SECONDS, ScreenPlan
from effsearch.commands.placement import SPARE_SECONDS, TIMES_EXPECTED, Placement
from effsearch.commands.pools import open_pool, ship_for
from effsearch.commands.recorder import Recorder
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.data.shipping import AtNode
from effsearch.proxy_train.screen import SupernetWorker
from effsearch.results.run_dir import RunDir
from effsearch.results.run_files import SETTINGS_FILE
from effsearch.results.supernet_files import SupernetFiles
from effsearch.search.placement.retrying_pool import RetryingPool
from effsearch.search.problem import Problem
from effsearch.search.screening.guided import as_points, guided_points
from effsearch.search.screening.screen import ScreenAnswer, ScreenTask, score_networks, train_supernet
from effsearch.search.screening.screen_prior import joined
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.screening import UPPER_SHARE, IntArray, draw_inside
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import RoundResult, ScreenScore

PATH_POOL = 4_096  # points that paths are drawn from
LEAST_SCORING_SHARE = 0.5  # of the time planned: where a busy machine made a supernet late, it is still used
PATH_REACH = 2.0  # times the widest budget, for paths


def run_screen(
    run: RunDir,
    plan: ScreenPlan,
    problem: Problem,
    images: ImageData,
    recorder: Recorder,
    *,
    anchors: list[Point],
    wants_front: bool,
    seconds_left: float | None,
    placement: Placement,
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
        wants_front: Whether cheap networks are wanted as much as those that use their budget up.
        seconds_left: Of all that the run was given; where nothing is left, nothing further is screened.
        placement: Where the work is done.
        watcher: Is shown how far it is.

    Raises:
        BudgetError: Nothing in the space fits.
        RunError: Training or scoring broke.
    """
    scores = recorder.screened(problem.space)
    started = time.monotonic()
    seconds = None if plan.minutes is None else plan.minutes * 60
    files = SupernetFiles(run.path.absolute() / "supernet")  # workers elsewhere read and write there
    left = plan.num_networks - len(scores)
    if left <= 0 or files.is_scored or (seconds_left is not None and seconds_left < 1):
        return scores  # an earlier call has ended the screening, or spent the time for it
    worker: Callable[[ScreenTask], ScreenAnswer] = SupernetWorker(
        handle=images.handle, space=problem.space, device=placement.device
    )
    shipment = ship_for(images, placement)
    if shipment is not None:
        worker = AtNode(worker, shipment)
    pool: RetryingPool[ScreenTask, ScreenAnswer] = RetryingPool(
        open_pool(
            worker,
            placement,
            seconds_allowed=_seconds_allowed(placement),
            shipment=shipment,
            shared_file=run.path / SETTINGS_FILE if plan.has_supernet else None,
            say=watcher.say,
            show_slots=watcher.show_slots,
        ),
        say=watcher.say,
    )
    rng = np.random.default_rng(plan.supernet.seed)
    least_share = 0.0 if wants_front else UPPER_SHARE
    num_failed = 0

    def note(round_index: int, result: RoundResult) -> None:
        files.note(round_index, result, now=datetime.now(UTC))
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
        if seconds is not None and seconds_left is not None:
            left_now = seconds_left - (time.monotonic() - started)
            seconds = min(seconds, max(left_now, LEAST_SCORING_SHARE * seconds))
        started = time.monotonic()

        def is_time_up() -> bool:
            return seconds is not None and time.monotonic() - started >= seconds

        def take(point: Point, score: ScreenScore | None) -> None:
            nonlocal num_failed
            if score is None:
                num_failed += 1
                return
            scores[point] = score
            recorder.record_screen(problem, plan.supernet, point, score)
            text = f"{len(scores):,} networks scored"
            watcher.show("screen", time.monotonic() - started, seconds, text)

        score_networks(
            plan.supernet,
            _points_to_score(problem, anchors, scores, left, rng, least_share=least_share),
            weights,
            pool=pool,
            take=take,
            is_time_up=is_time_up,
        )
        recorder.flush_screen()
        files.mark_scored(num_networks=len(scores), num_failed=num_failed)
        if num_failed:
            watcher.say(
                f"{num_failed} networks could not be scored: memory ran out, or a score was not finite"
            )
    finally:
        pool.close()
        recorder.flush_screen()
    return scores


def _seconds_allowed(placement: Placement) -> Callable[[ScreenTask], float]:
    """Give what says how long a task may take: a round is planned to take `ROUND_SECONDS`, a few scores far less."""
    seconds = TIMES_EXPECTED * ROUND_SECONDS * placement.workers_per_core + SPARE_SECONDS
    if placement.trial_minutes is not None:
        seconds = max(seconds, 60 * placement.trial_minutes)
    return lambda task: seconds


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


def _draw(problem: Problem, num_points: int, rng: np.random.Generator, *, least_share: float) -> IntArray:
    return draw_inside(
        problem.space,
        problem.budgets[int(rng.integers(len(problem.budgets)))],
        num_points,
        resolution=problem.resolution,
        num_classes=problem.num_classes,
        rng=rng,
        least_share=least_share,
    )


def _points_to_score(
    problem: Problem,
    anchors: list[Point],
    scores: Mapping[Point, ScreenScore],
    num_points: int,
    rng: np.random.Generator,
    *,
    least_share: float,
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

    def draw(num_points: int) -> IntArray:
        return _draw(problem, num_points, rng, least_share=least_share)

    guided = guided_points(problem.space, lambda: joined(scores), draw=draw, is_new=is_new, rng=rng)
    first = [point for point in anchors if is_new(point)]
    yield from itertools.islice(itertools.chain(first, guided), num_points)


def _show_round(plan: ScreenPlan, index: int, result: RoundResult, watcher: Watcher) -> None:
    num_rounds = plan.supernet.num_rounds
    text = f"round {index + 1} of {num_rounds}, loss {result.train_loss:.2f}"
    watcher.show("supernet", index + 1, num_rounds, text)
