import random
from collections import deque
from dataclasses import dataclass

import pytest

from effsearch.search.placement.pool import Ended
from effsearch.search.placement.watched_pool import WatchedPool
from effsearch.space.slot_status import SlotStatus


@dataclass(frozen=True)
class Count:
    """A task that is worth so many images."""

    images: int
    fails: bool = False

    @property
    def name(self) -> str:
        return f"count {self.images}"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakePool:
    """Ends its tasks in a drawn order."""

    def __init__(self, num_slots: int, rng: random.Random) -> None:
        self.num_slots = num_slots
        self.tasks: deque[Count] = deque()
        self.rng = rng
        self.is_closed = False
        self.trace = ""  # of failures

    @property
    def num_running(self) -> int:
        return len(self.tasks)

    def submit(self, task: Count) -> None:
        assert len(self.tasks) < self.num_slots
        self.tasks.append(task)

    def wait(self) -> Ended[Count, int]:
        self.tasks.rotate(self.rng.randrange(len(self.tasks)))
        task = self.tasks.popleft()
        if task.fails:
            return Ended(task, None, "it failed", 1.0, "crash", self.trace)
        return Ended(task, task.images, "", 1.0)

    def close(self) -> None:
        self.is_closed = True


def watched(
    num_slots: int, seed: int = 0
) -> tuple[WatchedPool[Count, int], Clock, list[tuple[SlotStatus, ...]], FakePool]:
    clock, seen, fake = Clock(), [], FakePool(num_slots, random.Random(seed))
    pool: WatchedPool[Count, int] = WatchedPool(
        fake, measure=lambda images: (images, images / 100), clock=clock, notify=seen.append, say=print
    )
    return pool, clock, seen, fake


def test_the_traceback_of_a_failure_is_told_with_the_task_s_name(capsys: pytest.CaptureFixture[str]) -> None:
    pool, _, _, fake = watched(1)
    fake.trace = "Traceback: oh"
    for count in (Count(7), Count(8, fails=True)):
        pool.submit(count)
        pool.wait()
    assert capsys.readouterr().out == "count 8: Traceback: oh\n"


def test_a_slot_says_what_it_does_and_since_when() -> None:
    pool, clock, seen, _ = watched(2)
    clock.now = 3.0
    pool.submit(Count(50))
    assert seen[-1][0] == SlotStatus(slot=0, task="count 50", task_seconds=0.0, open_seconds=3.0)
    clock.now = 10.0
    assert pool.slots()[0].task_seconds == 7.0
    assert pool.slots()[1].task == ""
    pool.wait()
    assert seen[-1][0] == SlotStatus(slot=0, num_ended=1, num_images=50, train_seconds=0.5, open_seconds=10.0)


def test_whatever_ends_first_slots_are_used_again_and_nothing_is_lost() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        pool, clock, seen, _ = watched(4, seed)
        waiting = [Count(rng.randrange(1, 5), fails=rng.random() < 0.2) for _ in range(40)]
        given = list(waiting)
        ended = []
        while waiting or pool.num_running:
            while waiting and pool.num_running < pool.num_slots:
                pool.submit(waiting.pop())
            clock.now += rng.random()
            ended.append(pool.wait().task)
        last = seen[-1]
        assert sorted(map(str, ended)) == sorted(map(str, given))
        assert [slot.task for slot in last] == [""] * 4
        assert sum(slot.num_ended for slot in last) == 40
        assert sum(slot.num_failed for slot in last) == sum(one.fails for one in given)
        assert sum(slot.num_images for slot in last) == sum(one.images for one in given if not one.fails)
        for slots in seen:
            running = [slot.task for slot in slots if slot.task]
            assert len(running) <= 4


def test_closing_closes_what_does_the_work() -> None:
    pool, _, seen, fake = watched(1)
    assert (pool.num_slots, pool.num_running) == (1, 0)
    pool.submit(Count(1))
    pool.close()
    assert fake.is_closed
    assert seen[-1] == (), "and nobody works any more"
