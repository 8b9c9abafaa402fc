"""What does each worker do, for whoever watches?"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from effsearch.search.placement.pool import Ended, Pool, T, V
from effsearch.space.slot_status import SlotStatus

MeasureWork = Callable[[V], tuple[int, float]]


@dataclass(slots=True)
class _Slot:
    task_name: str = ""
    started: float = 0.0
    num_ended: int = 0
    num_failed: int = 0
    num_images: int = 0
    train_seconds: float = 0.0


class WatchedPool(Generic[T, V]):
    """A pool that tells what its slots do; the work is done by another.

    A task takes the lowest free slot, so that slots stand for workers wherever those are.

    Args:
        pool: Does the work.
        measure: Gives the images that a value was trained on, and the seconds of it.
        clock: Seconds, monotonic.
        notify: Is told all slots whenever a task is handed out or has ended.
    """

    def __init__(
        self,
        pool: Pool[T, V],
        *,
        measure: MeasureWork[V],
        clock: Callable[[], float],
        notify: Callable[[tuple[SlotStatus, ...]], None],
    ) -> None:
        self._pool = pool
        self._measure = measure
        self._clock = clock
        self._notify = notify
        self._opened = clock()
        self._slots = [_Slot() for _ in range(pool.num_slots)]
        self._slot_of: dict[int, int] = {}  # by the task's identity: equal tasks may run side by side
        self._tasks: dict[int, T] = {}  # keeps their identities theirs

    @property
    def num_slots(self) -> int:
        """Tasks that can run at once."""
        return self._pool.num_slots

    @property
    def num_running(self) -> int:
        """Tasks handed in and not yet taken out."""
        return self._pool.num_running

    def submit(self, task: T) -> None:
        """Hand in a task; there must be a free slot."""
        self._pool.submit(task)
        taken = set(self._slot_of.values())
        index = next(index for index in itertools.count() if index not in taken)
        if index == len(self._slots):  # a cluster may have grown
            self._slots.append(_Slot())
        self._slot_of[id(task)], self._tasks[id(task)] = index, task
        slot = self._slots[index]
        slot.task_name, slot.started = task.name, self._clock()
        self._notify(self.slots())

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended, and take it out."""
        ended = self._pool.wait()
        index = self._index_of(ended.task)
        slot = self._slots[index]
        slot.task_name = ""
        slot.num_ended += 1
        if ended.value is None:
            slot.num_failed += 1
        else:
            num_images, seconds = self._measure(ended.value)
            slot.num_images += num_images
            slot.train_seconds += seconds
        self._notify(self.slots())
        return ended

    def close(self) -> None:
        """Stop the workers."""
        self._pool.close()

    def slots(self) -> tuple[SlotStatus, ...]:
        """Give what every slot does now."""
        now = self._clock()
        return tuple(
            SlotStatus(
                slot=index,
                task=slot.task_name,
                task_seconds=now - slot.started if slot.task_name else 0.0,
                num_ended=slot.num_ended,
                num_failed=slot.num_failed,
                num_images=slot.num_images,
                train_seconds=slot.train_seconds,
                open_seconds=now - self._opened,
            )
            for index, slot in enumerate(self._slots)
        )

    def _index_of(self, task: T) -> int:
        """Give the slot of a task and free it; a task that travelled comes back as an equal one."""
        key = id(task)
        if key not in self._slot_of:
            key = next(key for key, known in self._tasks.items() if known == task)
        del self._tasks[key]
        return self._slot_of.pop(key)
