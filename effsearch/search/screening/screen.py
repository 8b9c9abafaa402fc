"""Which of very many networks look good before any is trained by itself?

A supernet of the space is trained in rounds, its replicas side by side, and thousands of networks inside the budget
are scored with its weights. The workers do the work; what they leave in files and what they answer is all there is to
keep, so a screening goes on where it stopped.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from effsearch.search.failures import MAX_FAILURES_IN_A_ROW, describe_shared
from effsearch.search.placement.pool import Pool
from effsearch.space.errors import RunError
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import RoundResult, ScoreBatch, ScreenScore, SupernetPlan, TrainRound

ScreenTask = TrainRound | ScoreBatch
ScreenAnswer = RoundResult | tuple[ScreenScore | None, ...]
ScreenPool = Pool[ScreenTask, ScreenAnswer]

NETWORKS_AT_ONCE = 8  # in one task: long enough to outweigh the pipe, short enough to lose little


class RoundFiles(Protocol):
    """Where the weights of each round lie; `results.supernet_files` has them."""

    def path(self, round_index: int, replica: int) -> Path:
        """Give the file of one replica after one round."""

    def of_round(self, round_index: int, plan: SupernetPlan) -> tuple[Path, ...]:
        """Give the files of a round; none before the first."""

    def is_there(self, round_index: int, replica: int) -> bool:
        """Tell whether a replica has ended a round."""

    def next_round(self, plan: SupernetPlan) -> int:
        """Give the first round that is not whole."""

    def forget(self, round_index: int, plan: SupernetPlan) -> None:
        """Delete the files of a round that a later one has replaced."""


def train_supernet(
    plan: SupernetPlan,
    paths: Sequence[Point],
    *,
    pool: ScreenPool,
    files: RoundFiles,
    start: tuple[Path, ...] = (),
    notify: Callable[[int, RoundResult], None] = lambda round_index, result: None,
) -> tuple[Path, ...]:
    """Train what is left of a plan's rounds, and give the files of the last.

    Args:
        plan: How.
        paths: Points inside the budget to draw paths from.
        pool: Where the replicas train.
        files: Where their weights go; whole rounds found there are not trained again.
        start: Weights that the first round starts from; none: fresh ones.
        notify: Is told the round and what one replica came to.

    Raises:
        RunError: A replica failed.
    """
    first = files.next_round(plan)
    for round_index in range(first - 1):  # a process that was killed may have left what it had replaced
        files.forget(round_index, plan)
    for round_index in range(first, plan.num_rounds):
        inputs = files.of_round(round_index - 1, plan) if round_index else start
        tasks: list[ScreenTask] = [
            TrainRound(
                plan=plan,
                round_index=round_index,
                replica=replica,
                paths=tuple(paths),
                inputs=inputs,
                output=files.path(round_index, replica),
            )
            for replica in range(plan.num_replicas)
            if not files.is_there(round_index, replica)
        ]

        def take(task: ScreenTask, answer: ScreenAnswer, round_index: int = round_index) -> None:
            assert isinstance(answer, RoundResult)
            notify(round_index, answer)

        _run_all(tasks, pool, take)
        files.forget(round_index - 1, plan)
    return files.of_round(plan.num_rounds - 1, plan)


def score_networks(
    plan: SupernetPlan,
    points: Iterable[Point],
    weights: tuple[Path, ...],
    *,
    is_second: bool = False,
    pool: ScreenPool,
    take: Callable[[Point, ScreenScore | None], None],
    is_time_up: Callable[[], bool] = lambda: False,
) -> None:
    """Score networks until there are none left or the time is up.

    Args:
        plan: Of the supernet that the weights are of.
        points: What to score, in this order.
        weights: Files of the last round; none gives zero-cost scores alone.
        is_second: Whether the points were scored before.
        pool: Where.
        take: Is handed each point with its score, None where it could not be scored.
        is_time_up: Asked before each task; what runs is still taken.
    """

    def tasks() -> Iterable[ScreenTask]:
        waiting = iter(points)
        number = 1 if is_second else NETWORKS_AT_ONCE  # a second score looks at several times the images
        while some := tuple(islice(waiting, number)):
            if is_time_up():
                return
            yield ScoreBatch(plan=plan, points=some, weights=weights, is_second=is_second)

    def take_scores(task: ScreenTask, answer: ScreenAnswer) -> None:
        assert isinstance(task, ScoreBatch)
        assert isinstance(answer, tuple)
        for point, score in zip(task.points, answer, strict=True):
            take(point, score)

    _run_all(tasks(), pool, take_scores)


def _run_all(
    tasks: Iterable[ScreenTask],
    pool: ScreenPool,
    take: Callable[[ScreenTask, ScreenAnswer], None],
) -> None:
    waiting = iter(tasks)
    is_more = True
    failures: list[str] = []  # in a row
    while is_more or pool.num_running:
        while is_more and pool.num_running < pool.num_slots:
            task = next(waiting, None)
            if task is None:
                is_more = False
            else:
                pool.submit(task)
        if pool.num_running:
            ended = pool.wait()
            failures = [*failures, ended.failure] if ended.value is None else []
            if ended.value is not None:
                take(ended.task, ended.value)
            elif isinstance(ended.task, ScoreBatch):  # a worker that dies costs its networks, not the search
                take(ended.task, (None,) * len(ended.task.points))
                if len(failures) >= MAX_FAILURES_IN_A_ROW:
                    raise RunError(f"scoring: {describe_shared(failures)}")
            else:
                raise RunError(f"{ended.task.name} failed: {ended.failure}")
