"""What does each worker do, for whoever watches?"""

from collections.abc import Callable
from dataclasses import dataclass

from effsearch.search.placement.pool import Ended, Pool, T, V
from effsearch.search.placement.pool_around import PoolAround
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


class WatchedPool(PoolAround[T, V]):
    """A pool that tells what its slots do; the work is done by another.

    A task takes the lowest free slot, so that slots stand for workers wherever those are.

    Args:
        pool: Does the work.
        measure: Gives the images that a value was trained on, and the seconds of it.
        clock: Seconds, monotonic.
        notify: Is told all slots whenever a task is handed out or has ended, and none at the end.
        say: Is told the traceback of each failure that has one.
    """

    def __init__(
        self,
        pool: Pool[T, V],
        *,
        measure: MeasureWork[V],
        clock: Callable[[], float],
        notify: Callable[[tuple[SlotStatus, ...]], None],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(pool)
        self._measure = measure
        self._clock = clock
        self._notify = notify
        self._say = say
        self._opened = clock()
        self._slots = [_Slot() for _ in range(pool.num_slots)]
        self._slot_of: dict[int, int] = {}  # by the task's identity: equal tasks may run side by side

    def submit(self, task: T) -> None:
        """Hand in a task; there must be a free slot."""
        super().submit(task)
        index = min(set(range(len(self._slots))) - set(self._slot_of.values()))
        self._slot_of[id(task)] = index
        slot = self._slots[index]
        slot.task_name, slot.started = task.name, self._clock()
        self._notify(self.slots())

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended, and take it out."""
        ended = self._pool.wait()
        slot = self._slots[self._slot_of.pop(id(ended.task))]
        slot.task_name = ""
        slot.num_ended += 1
        if ended.value is None:
            slot.num_failed += 1
            if ended.trace:
                self._say(f"{ended.task.name}: {ended.trace}")
        else:
            num_images, seconds = self._measure(ended.value)
            slot.num_images += num_images
            slot.train_seconds += seconds
        self._notify(self.slots())
        return ended

    def close(self) -> None:
        """Stop the workers; whoever watches is told that there are none."""
        super().close()
        self._notify(())

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
