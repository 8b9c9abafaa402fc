"""How does a search go on as if it had never stopped?

What a proposer believes hangs on the order in which it was asked and told, and on its own draws. With one worker and
a number of trials that order is a search's own doing, so the search is done over again with the recorded trainings
standing in for real ones: it comes to where it was, to the last draw. Where several trained side by side, or a clock
had a say, the same order does not come about; that is found out before anything is trained, and the search then
starts from what was trained, whatever the order.
"""

from collections import deque
from collections.abc import Sequence

from effsearch.search.placement.executor import Executor
from effsearch.space.outcome import Evaluation, Job


class Diverged(Exception):  # noqa: N818 - nothing is wrong: a search in another order
    """The search asks for another training than the one that was recorded next."""


class ReplayingExecutor:
    """Answers with recorded trainings until there are no more, then trains.

    Args:
        executor: Trains; has one slot.
        history: What was recorded, oldest first.
    """

    def __init__(self, executor: Executor, history: Sequence[Evaluation]) -> None:
        assert executor.num_slots == 1, "several slots have no order of their own"
        self._executor = executor
        self._history = deque(history)
        self._answer: Evaluation | None = None

    @property
    def num_slots(self) -> int:
        """One."""
        return self._executor.num_slots

    @property
    def num_running(self) -> int:
        """Jobs handed in and not yet taken out."""
        return self._executor.num_running + (self._answer is not None)

    @property
    def num_left(self) -> int:
        """Recorded trainings that were not asked for yet."""
        return len(self._history)

    def submit(self, job: Job) -> None:
        """Hand in a job; there must be a free slot.

        Raises:
            Diverged: Another was recorded next.
        """
        if not self._history:
            self._executor.submit(job)
            return
        if not _is_same(job, self._history[0].job):
            raise Diverged
        self._answer = self._history.popleft()

    def wait(self) -> Evaluation:
        """Give the training of the job that was handed in."""
        if self._answer is None:
            return self._executor.wait()
        answer, self._answer = self._answer, None
        return answer

    def close(self) -> None:
        """Stop the worker."""
        self._executor.close()


def _is_same(job: Job, recorded: Job) -> bool:
    def of(one: Job) -> tuple[object, ...]:
        return one.kind, one.name, one.network, one.fidelity, one.seed, one.replicate

    return of(job) == of(recorded)
