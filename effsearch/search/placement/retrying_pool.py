"""What gets a second chance?

A task whose worker died or hung is handed out once more as it was: machines fail now and then. One that ran out of
memory is handed out once more made smaller, where it can be. What fails twice has failed, with both reasons. What
fails by itself, such as a loss that is not finite, would do so again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic

from effsearch.search.placement.pool import Ended, Pool, T, V
from effsearch.search.placement.pool_around import PoolAround


@dataclass(frozen=True, slots=True)
class Smaller(Generic[T]):
    """A task that needs less memory than another one, and in what it is less."""

    task: T
    words: str  # as in "again with half the batch"


def never_smaller(task: object) -> None:
    """None: the default where no task can be made smaller."""


def say_nothing(text: str) -> None:
    """Nothing: the default where nobody listens."""


class RetryingPool(PoolAround[T, V]):
    """Does tasks on another pool, and hands out a second time what may then go well.

    Args:
        pool: Does the work.
        make_smaller: Gives what to do in place of a task that memory was too small for; None where there is nothing.
        say: Is told of each second chance.
    """

    def __init__(
        self,
        pool: Pool[T, V],
        *,
        make_smaller: Callable[[T], Smaller[T] | None] = never_smaller,
        say: Callable[[str], None] = say_nothing,
    ) -> None:
        super().__init__(pool)
        self._make_smaller = make_smaller
        self._say = say
        self._retried: list[_Retried[T]] = []  # a few at the most: those that run for the second time

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended for good, and take it out; its task is the one that ran last.

        Raises:
            RunError: The work found something that no other task could do without.
        """
        while True:
            ended = self._pool.wait()
            earlier = self._take_earlier(ended.task)
            if not ended.failure:
                return ended
            if earlier is not None:
                failure = f"{earlier.failure}; {earlier.words}: {ended.failure}"
                return replace(ended, failure=failure, seconds=earlier.seconds + ended.seconds)
            again = self._second_chance(ended)
            if again is None:
                return ended
            self._say(f"{ended.task.name}: {ended.failure}; {again.words}")
            self._retried.append(again)
            self._pool.submit(again.task)  # its first time has just left a slot

    def _second_chance(self, ended: Ended[T, V]) -> "_Retried[T] | None":
        if ended.cause in ("died", "hung"):
            return _Retried(ended.task, "again", ended.failure, ended.seconds)
        smaller = self._make_smaller(ended.task) if ended.cause == "memory" else None
        if smaller is None:
            return None
        return _Retried(smaller.task, f"again with {smaller.words}", ended.failure, ended.seconds)

    def _take_earlier(self, task: T) -> "_Retried[T] | None":
        """Give what a task's first time came to; None where this was it."""
        for retried in self._retried:
            if retried.task is task:  # equal ones may run side by side
                self._retried.remove(retried)
                return retried
        return None


@dataclass(frozen=True, slots=True)
class _Retried(Generic[T]):
    task: T  # as it runs now
    words: str
    failure: str  # of the first time
    seconds: float
