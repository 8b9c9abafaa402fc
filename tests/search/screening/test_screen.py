from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from effsearch.search.placement.pool import Ended
from effsearch.search.screening.screen import (
    NETWORKS_AT_ONCE,
    ScreenAnswer,
    ScreenTask,
    score_networks,
    train_supernet,
)
from effsearch.space.errors import RunError
from effsearch.space.outcome import Fidelity
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import RoundResult, ScoreBatch, ScreenScore, SupernetPlan, TrainRound

PLAN = SupernetPlan(
    fidelity=Fidelity(num_images=100, num_epochs=1, resolution=16),
    num_steps=30,
    num_rounds=3,
    num_replicas=2,
    sharing="sliced",
    seed=0,
)
PATHS = [(0, 1), (1, 0), (1, 1)]
WEIGHTS = (Path("round002-replica0"), Path("round002-replica1"))


@dataclass
class FakeFiles:
    """A folder that is a set of names."""

    there: set[str] = field(default_factory=set)

    def path(self, round_index: int, replica: int) -> Path:
        return Path(f"round{round_index:03d}-replica{replica}")

    def of_round(self, round_index: int, plan: SupernetPlan) -> tuple[Path, ...]:
        return tuple(
            self.path(round_index, replica) for replica in range(plan.num_replicas * (round_index >= 0))
        )

    def is_there(self, round_index: int, replica: int) -> bool:
        return self.path(round_index, replica).name in self.there

    def next_round(self, plan: SupernetPlan) -> int:
        whole = [
            index
            for index in range(plan.num_rounds)
            if all(self.is_there(index, replica) for replica in range(plan.num_replicas))
        ]
        return max(whole, default=-1) + 1

    def forget(self, round_index: int, plan: SupernetPlan) -> None:
        self.there -= {path.name for path in self.of_round(round_index, plan)}


@dataclass
class FakePool:
    """Does each task when it is waited for, the one handed in last first, and keeps a diary."""

    work: Callable[[ScreenTask], ScreenAnswer | None]
    num_slots: int = 2
    running: list[ScreenTask] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    most_running: int = 0

    @property
    def num_running(self) -> int:
        return len(self.running)

    def submit(self, task: ScreenTask) -> None:
        assert self.num_running < self.num_slots
        self.running.append(task)
        self.most_running = max(self.most_running, self.num_running)
        self.diary.append(f"start {task.name}")

    def wait(self) -> Ended[ScreenTask, ScreenAnswer]:
        task = self.running.pop()
        self.diary.append(f"end {task.name}")
        value = self.work(task)
        return Ended(task, value, "out of memory" if value is None else "", 1.0)


def trains(files: FakeFiles) -> Callable[[ScreenTask], ScreenAnswer]:
    """Work that needs its inputs and leaves its output."""

    def work(task: ScreenTask) -> ScreenAnswer:
        assert isinstance(task, TrainRound)
        assert {path.name for path in task.inputs} <= files.there
        files.there.add(task.output.name)
        return RoundResult(train_loss=2.0 - task.round_index, num_images_seen=10, core_seconds=1.0)

    return work


def rounds_of(pool: FakePool) -> list[str]:
    return [line.removeprefix("end supernet ") for line in pool.diary if line.startswith("end")]


# Training


@pytest.mark.parametrize("num_slots", [1, 2, 5])
def test_rounds_are_trained_one_after_another_and_their_replicas_side_by_side(num_slots: int) -> None:
    files = FakeFiles()
    pool = FakePool(trains(files), num_slots=num_slots)
    told: list[tuple[int, float]] = []
    weights = train_supernet(
        PLAN,
        PATHS,
        pool=pool,
        files=files,
        notify=lambda index, result: told.append((index, result.train_loss)),
    )
    assert [line[: len("round 1")] for line in rounds_of(pool)] == [
        *["round 1"] * 2,
        *["round 2"] * 2,
        *["round 3"] * 2,
    ]
    assert pool.most_running == min(num_slots, 2)
    assert told == [(0, 2.0), (0, 2.0), (1, 1.0), (1, 1.0), (2, 0.0), (2, 0.0)]
    assert weights == WEIGHTS
    assert files.there == {path.name for path in WEIGHTS}  # what a later round has replaced is deleted


def test_a_round_starts_from_all_replicas_of_the_round_before() -> None:
    files = FakeFiles()
    inputs: dict[tuple[int, int], tuple[str, ...]] = {}
    work = trains(files)

    def watched(task: ScreenTask) -> ScreenAnswer:
        assert isinstance(task, TrainRound)
        assert task.paths == tuple(PATHS)
        inputs[task.round_index, task.replica] = tuple(path.name for path in task.inputs)
        return work(task)

    train_supernet(PLAN, PATHS, pool=FakePool(watched), files=files)
    assert inputs[0, 0] == inputs[0, 1] == ()
    assert inputs[1, 0] == inputs[1, 1] == ("round000-replica0", "round000-replica1")


def test_the_first_round_starts_from_given_weights() -> None:
    start = (Path("other-replica0"),)
    files = FakeFiles({"other-replica0"})
    inputs: list[tuple[Path, ...]] = []
    work = trains(files)

    def watched(task: ScreenTask) -> ScreenAnswer:
        assert isinstance(task, TrainRound)
        inputs.append(task.inputs)
        return work(task)

    train_supernet(PLAN, PATHS, pool=FakePool(watched), files=files, start=start)
    assert inputs[:2] == [start, start]
    assert start not in inputs[2:]


def test_training_goes_on_after_the_last_whole_round_and_keeps_half_of_the_next() -> None:
    files = FakeFiles({"round000-replica0", "round000-replica1", "round001-replica1"})
    pool = FakePool(trains(files))
    train_supernet(PLAN, PATHS, pool=pool, files=files)
    assert sorted(rounds_of(pool)) == ["round 2, replica 1", "round 3, replica 1", "round 3, replica 2"]


def test_a_supernet_that_is_trained_is_not_trained_again() -> None:
    files = FakeFiles({path.name for path in WEIGHTS})
    pool = FakePool(trains(files))
    assert train_supernet(PLAN, PATHS, pool=pool, files=files) == WEIGHTS
    assert pool.diary == []


def test_a_replica_that_fails_stops_the_run_and_leaves_what_is_whole() -> None:
    files = FakeFiles()
    work = trains(files)

    def fails_in_round_two(task: ScreenTask) -> ScreenAnswer | None:
        return None if task.name == "supernet round 2, replica 2" else work(task)

    with pytest.raises(RunError, match=r"^supernet round 2, replica 2 failed: out of memory$"):
        train_supernet(PLAN, PATHS, pool=FakePool(fails_in_round_two), files=files)
    assert {"round000-replica0", "round000-replica1"} <= files.there
    assert files.next_round(PLAN) == 1


# Scoring


def scores(task: ScreenTask) -> ScreenAnswer:
    """The loss is the point's number; points that end in 3 cannot be scored."""
    assert isinstance(task, ScoreBatch)
    return tuple(
        None
        if point[0] % 10 == 3
        else ScreenScore(naswot=0.0, val_loss=float(point[0]), val_accuracy=0.5, core_seconds=0.1)
        for point in task.points
    )


def test_every_point_is_handed_over_with_its_own_score() -> None:
    taken: dict[Point, ScreenScore | None] = {}
    points = [(number,) for number in range(3 * NETWORKS_AT_ONCE + 2)]
    pool = FakePool(scores)
    score_networks(PLAN, points, WEIGHTS, pool=pool, take=taken.__setitem__)
    assert sorted(taken) == points
    assert {point for point, score in taken.items() if score is None} == {(3,), (13,), (23,)}
    assert all(score.val_loss == point[0] for point, score in taken.items() if score)
    assert [line for line in pool.diary if "of 2 networks" in line]  # the last task is a smaller one
    assert pool.num_running == 0


def test_no_points_are_no_work() -> None:
    pool = FakePool(scores)
    score_networks(PLAN, [], WEIGHTS, pool=pool, take=lambda point, score: None)
    assert pool.diary == []


def test_points_are_taken_only_when_a_worker_is_free() -> None:
    """So that a model may choose the next points from the scores so far."""
    num_given = 0
    taken: list[Point] = []
    ahead: list[int] = []

    def points() -> Iterator[Point]:
        nonlocal num_given
        for number in range(10 * NETWORKS_AT_ONCE):
            num_given += 1
            yield (number,)

    def take(point: Point, score: ScreenScore | None) -> None:
        taken.append(point)
        ahead.append(num_given - len(taken))

    score_networks(PLAN, points(), WEIGHTS, pool=FakePool(scores, num_slots=2), take=take)
    assert len(taken) == 10 * NETWORKS_AT_ONCE
    assert max(ahead) < 2 * NETWORKS_AT_ONCE  # two tasks, less the point just taken


def test_when_the_time_is_up_nothing_new_starts_and_what_runs_is_taken() -> None:
    taken: list[Point] = []
    endless = ((number,) for number in range(10**9))
    pool = FakePool(scores, num_slots=2)
    score_networks(
        PLAN,
        endless,
        WEIGHTS,
        pool=pool,
        take=lambda point, score: taken.append(point),
        is_time_up=lambda: len(taken) >= 3 * NETWORKS_AT_ONCE,
    )
    assert len(taken) == 4 * NETWORKS_AT_ONCE  # three tasks, and the one beside the third
    assert pool.num_running == 0


def test_no_time_at_all_scores_nothing() -> None:
    pool = FakePool(scores)
    score_networks(PLAN, PATHS, WEIGHTS, pool=pool, take=lambda point, score: None, is_time_up=lambda: True)
    assert pool.diary == []


def test_a_batch_that_fails_costs_its_networks_and_not_the_run() -> None:
    taken: list[tuple[Point, ScreenScore | None]] = []
    pool = FakePool(lambda task: None)
    score_networks(PLAN, PATHS, WEIGHTS, pool=pool, take=lambda point, score: taken.append((point, score)))
    assert taken == [(point, None) for point in PATHS]
