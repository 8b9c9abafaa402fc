"""How does a search find out about very many networks before it trains any by itself?

A supernet is trained, networks are scored with it, and the best of them are looked at a second time, all as
`screen_plan` says. What comes of it stands in the ledger.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from effsearch.commands.baseline.screen_plan import ROUND_SECONDS, ScreenPlan
from effsearch.commands.placement import SPARE_SECONDS, TIMES_EXPECTED, Placement
from effsearch.commands.pools import open_pool, ship_for
from effsearch.commands.recorder import Recorder
from effsearch.commands.time_left import Countdown
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.data.shipping import AtNode
from effsearch.proxy_train.screen import SupernetWorker
from effsearch.results.run_dir import RunDir
from effsearch.results.run_files import SETTINGS_FILE
from effsearch.results.supernet_files import SupernetFiles, second_of, supernet_of
from effsearch.search.placement.retrying_pool import RetryingPool
from effsearch.search.problem import Problem
from effsearch.search.screening.points import draw_paths, points_to_score
from effsearch.search.screening.screen import ScreenAnswer, ScreenTask, score_networks, train_supernet
from effsearch.search.screening.second_look import choose_for_second_look
from effsearch.space.errors import RunError
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import RoundResult, ScreenScore, SupernetPlan


def run_screen(
    run: RunDir,
    plan: ScreenPlan,
    problem: Problem,
    images: ImageData,
    recorder: Recorder,
    *,
    anchors: list[Point],
    front_measure: str | None,
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
        front_measure: A cost along which cheap networks are wanted as much as dear ones; None: the dear are.
        seconds_left: Of all that the run was given; where nothing is left, nothing further is screened.
        placement: Where the work is done.
        watcher: Is shown how far it is.

    Raises:
        BudgetError: Nothing in the space fits.
        RunError: Training or scoring broke.
    """
    countdown = Countdown(seconds_left)
    scores = recorder.screen_scores(problem.space)
    folder = run.path.absolute()  # workers elsewhere read and write there
    files, second_files = supernet_of(folder), second_of(folder)
    num_left = 0 if files.is_scored else plan.num_networks - len(scores.first)
    is_second_look_owed = plan.num_second > 0 and not second_files.is_scored
    is_over = num_left <= 0 and not (is_second_look_owed and scores.first)  # an earlier call has ended it
    if is_over or countdown.has_ended:
        return scores
    pool = _open_pool(run, problem, images, placement=placement, has_files=plan.has_supernet, watcher=watcher)
    work = _ScreenWork(pool=pool, problem=problem, recorder=recorder, scores=scores, watcher=watcher)
    rng = np.random.default_rng(plan.supernet.seed)
    try:
        weights: tuple[Path, ...] = ()
        if plan.has_supernet:
            weights = work.train("supernet", plan.supernet, draw_paths(problem, rng), files=files)
        if num_left > 0:
            points = points_to_score(
                problem,
                scores.first,
                anchors=anchors,
                num_points=num_left,
                rng=rng,
                wants_front=front_measure is not None,
            )
            seconds = countdown.some_of(plan.minutes)
            work.score(plan.supernet, points, weights, files=files, is_second=False, seconds=seconds)
        if is_second_look_owed and scores.first:
            best = choose_for_second_look(
                problem, scores.first, number=plan.num_second, front_measure=front_measure
            )
            work.look_again(plan, best, weights, files=second_files, countdown=countdown)
    finally:
        pool.close()  # scores that are not yet written are the recorder's to write when it is closed
    recorder.flush_screen()
    return scores


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
        *,
        files: SupernetFiles,
        start: tuple[Path, ...] = (),
    ) -> tuple[Path, ...]:
        """Train what is left of a supernet from the weights it starts with, and give the files of its own."""

        def note(round_index: int, result: RoundResult) -> None:
            files.note(round_index, result, now=datetime.now(UTC))
            text = f"round {round_index + 1} of {plan.num_rounds}, loss {result.train_loss:.2f}"
            self.watcher.show(what, round_index + 1, plan.num_rounds, text)

        return train_supernet(plan, paths, pool=self.pool, files=files, start=start, notify=note)

    def look_again(
        self,
        plan: ScreenPlan,
        best: list[Point],
        weights: tuple[Path, ...],
        *,
        files: SupernetFiles,
        countdown: Countdown,
    ) -> None:
        """Score the best again, with weights that were trained on for them where that is planned and goes well."""
        supernet = plan.supernet
        if plan.focus is not None and self._train_on(plan, best, weights, files=files, countdown=countdown):
            supernet, weights = plan.focus, files.of_round(plan.focus.num_rounds - 1, plan.focus)
        waiting = [point for point in best if point not in self.scores.second]
        seconds = countdown.some_of(plan.second_minutes)
        self.score(supernet, waiting, weights, files=files, is_second=True, seconds=seconds)

    def _train_on(
        self,
        plan: ScreenPlan,
        best: list[Point],
        weights: tuple[Path, ...],
        *,
        files: SupernetFiles,
        countdown: Countdown,
    ) -> bool:
        """Train the supernet on, and tell whether it is done: as a refinement it may go wrong and stop no search."""
        assert plan.focus is not None
        assert plan.focus_minutes is not None
        share_left = 1 - files.next_round(plan.focus) / plan.focus.num_rounds
        if share_left and self.scores.second:
            return False  # an earlier call has begun to score without
        if not countdown.has(60 * share_left * plan.focus_minutes):
            self.watcher.say("there is no time left to train the supernet on for the best networks alone")
            return False
        try:
            self.train("focus", plan.focus, best, files=files, start=weights)
        except RunError as error:
            self.watcher.say(f"the supernet could not be trained on for the best networks alone: {error}")
            return False
        return True

    def score(
        self,
        plan: SupernetPlan,
        points: Iterable[Point],
        weights: tuple[Path, ...],
        *,
        files: SupernetFiles,
        is_second: bool,
        seconds: float | None,
    ) -> None:
        """Score points until there are none left or the time is up, and note in the files that this is done."""
        taken = self.scores.second if is_second else self.scores.first
        what, again = ("second look", " again") if is_second else ("screen", "")
        started = time.monotonic()
        num_failed = 0

        def take(point: Point, score: ScreenScore | None) -> None:
            nonlocal num_failed
            if score is None:
                num_failed += 1
                return
            self.scores.add(point, score)
            self.recorder.record_screen(self.problem, plan, point, score)
            text = f"{len(taken):,} networks scored{again}"
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
                f"{num_failed} networks could not be scored{again}: memory ran out, or a score was not finite"
            )


def _open_pool(
    run: RunDir,
    problem: Problem,
    images: ImageData,
    *,
    placement: Placement,
    has_files: bool,
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
        shared_file=run.path / SETTINGS_FILE if has_files else None,
        say=watcher.say,
        show_slots=watcher.show_slots,
    )
    return RetryingPool(pool, say=watcher.say)


def _seconds_allowed(placement: Placement) -> Callable[[ScreenTask], float]:
    """Give what says how long a task may take: a round is planned to take `ROUND_SECONDS`, a few scores far less."""
    seconds = TIMES_EXPECTED * ROUND_SECONDS * placement.workers_per_core + SPARE_SECONDS
    if placement.trial_minutes is not None:
        seconds = max(seconds, 60 * placement.trial_minutes)
    return lambda task: seconds
