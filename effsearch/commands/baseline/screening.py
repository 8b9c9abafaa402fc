"""What does a search find out about very many networks before it trains any by itself?

The supernet is trained and networks are scored as `screen_plan` says. All of it stands in the ledger.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
from effsearch.results.supernet_files import SupernetFiles, second_of, supernet_of
from effsearch.search.placement.retrying_pool import RetryingPool
from effsearch.search.problem import Problem
from effsearch.search.screening.focus import choose_best
from effsearch.search.screening.guided import as_points, guided_points
from effsearch.search.screening.screen import ScreenAnswer, ScreenTask, score_networks, train_supernet
from effsearch.search.screening.screen_prior import ScreenPrior, joined
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.screening import UPPER_SHARE, IntArray, draw_inside, screen
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import RoundResult, ScreenScore, SupernetPlan

PATH_POOL = 4_096  # points that paths are drawn from
FRONT_PARTS = 8  # of the costs, of each of which the best are looked at again where a front is wanted
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
) -> ScreenScores:
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
    scores = recorder.screen_scores(problem.space)
    folder = run.path.absolute()  # workers elsewhere read and write there
    files, second_files = supernet_of(folder), second_of(folder)
    num_left = 0 if files.is_scored else plan.num_networks - len(scores.first)
    is_again_left = plan.num_again > 0 and not second_files.is_scored
    is_over = num_left <= 0 and not is_again_left  # an earlier call has ended the screening
    if is_over or (seconds_left is not None and seconds_left < 1):
        return scores
    pool = _open_pool(run, plan, problem, images, placement, watcher)
    work = _ScreenWork(pool=pool, problem=problem, recorder=recorder, scores=scores, watcher=watcher)
    clock = TimeLeft(seconds_left)
    rng = np.random.default_rng(plan.supernet.seed)
    try:
        weights: tuple[Path, ...] = ()
        if plan.has_supernet:
            weights = work.train("supernet", plan.supernet, _draw_paths(problem, rng), files)
        if num_left > 0:
            least_share = 0.0 if wants_front else UPPER_SHARE
            points = _points_to_score(problem, anchors, scores.first, num_left, rng, least_share=least_share)
            work.score("screen", plan.supernet, points, weights, files, seconds=clock.some_of(plan.minutes))
        if is_again_left and scores.first:
            best = _choose_best(problem, scores.first, plan.num_again, wants_front=wants_front)
            if plan.focus is not None:
                weights = work.train("focus", plan.focus, best, second_files, start=weights)
            waiting = (point for point in best if point not in scores.second)
            seconds = clock.some_of(plan.again_minutes)
            work.score("again", plan.focus or plan.supernet, waiting, weights, second_files, seconds=seconds)
    finally:
        pool.close()
        recorder.flush_screen()
    return scores


@dataclass(slots=True)
class TimeLeft:
    """What is left of the time that a run was given, counted from now; None: as much as there is need for."""

    seconds: float | None
    _started: float = field(default_factory=time.monotonic)

    def some_of(self, planned_minutes: float | None) -> float | None:
        """Give the seconds for a scoring: those planned, less where the supernet was late, but never much less."""
        if planned_minutes is None or self.seconds is None:
            return None if planned_minutes is None else planned_minutes * 60
        left = self.seconds - (time.monotonic() - self._started)
        return min(planned_minutes * 60, max(left, LEAST_SCORING_SHARE * planned_minutes * 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScreenWork:
    """Has supernets trained and networks scored by a pool, and takes what comes of it."""

    pool: RetryingPool[ScreenTask, ScreenAnswer]
    problem: Problem
    recorder: Recorder
    scores: ScreenScores  # to which all new ones are added
    watcher: Watcher

    def train(
        self,
        what: str,
        plan: SupernetPlan,
        paths: list[Point],
        files: SupernetFiles,
        start: tuple[Path, ...] = (),
    ) -> tuple[Path, ...]:
        """Train what is left of a supernet, and give the files of its weights."""

        def note(round_index: int, result: RoundResult) -> None:
            files.note(round_index, result, now=datetime.now(UTC))
            text = f"round {round_index + 1} of {plan.num_rounds}, loss {result.train_loss:.2f}"
            self.watcher.show(what, round_index + 1, plan.num_rounds, text)

        return train_supernet(plan, paths, pool=self.pool, files=files, start=start, notify=note)

    def score(
        self,
        what: str,
        plan: SupernetPlan,
        points: Iterator[Point],
        weights: tuple[Path, ...],
        files: SupernetFiles,
        *,
        seconds: float | None,
    ) -> None:
        """Score points until there are none left or the time is up, and note that this is done."""
        is_second = what == "again"
        taken = self.scores.second if is_second else self.scores.first
        started = time.monotonic()
        num_failed = 0

        def take(point: Point, score: ScreenScore | None) -> None:
            nonlocal num_failed
            if score is None:
                num_failed += 1
                return
            self.scores.add(point, score)
            self.recorder.record_screen(self.problem, plan, point, score)
            text = f"{len(taken):,} networks scored{' again' if is_second else ''}"
            self.watcher.show(what, time.monotonic() - started, seconds, text)

        score_networks(
            plan,
            points,
            weights,
            is_second=is_second,
            pool=self.pool,
            take=take,
            is_time_up=lambda: seconds is not None and time.monotonic() - started >= seconds,
        )
        self.recorder.flush_screen()
        files.mark_scored(num_networks=len(taken), num_failed=num_failed)
        if num_failed:
            self.watcher.say(
                f"{num_failed} networks could not be scored: memory ran out, or a score was not finite"
            )


def _open_pool(
    run: RunDir,
    plan: ScreenPlan,
    problem: Problem,
    images: ImageData,
    placement: Placement,
    watcher: Watcher,
) -> RetryingPool[ScreenTask, ScreenAnswer]:
    worker: Callable[[ScreenTask], ScreenAnswer] = SupernetWorker(
        handle=images.handle, space=problem.space, device=placement.device
    )
    shipment = ship_for(images, placement)
    if shipment is not None:
        worker = AtNode(worker, shipment)
    pool = open_pool(
        worker,
        placement,
        seconds_allowed=_seconds_allowed(placement),
        shipment=shipment,
        shared_file=run.path / SETTINGS_FILE if plan.has_supernet else None,
        say=watcher.say,
        show_slots=watcher.show_slots,
    )
    return RetryingPool(pool, say=watcher.say)


def _choose_best(
    problem: Problem, first: Mapping[Point, ScreenScore], number: int, *, wants_front: bool
) -> list[Point]:
    """Give the screened networks that a second look is worth: the best in each budget, or all along the front."""
    points = list(first)
    array = np.asarray(points, dtype=np.int64)
    prior = ScreenPrior(problem.space, first)
    expected = dict(zip(points, prior.expected(array).tolist(), strict=True))
    costs = screen(problem.space, array, resolution=problem.resolution, num_classes=problem.num_classes)
    if wants_front:
        order = np.argsort(costs.multiply_adds, kind="stable")
        groups = [[points[place] for place in part] for part in np.array_split(order, FRONT_PARTS)]
    else:
        groups = [
            [point for point, is_inside in zip(points, costs.inside(budget), strict=True) if is_inside]
            for budget in problem.budgets
        ]
    return choose_best(expected, groups, number=number)


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
