"""Is there time for one more training?"""

import statistics
from collections.abc import Callable, Iterable

from effsearch.search.fidelity import cost_of, relative_cost
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Fidelity

MOST_FOR_CONFIRMATION = 0.4  # share of the time set aside for fresh seeds, at the most
MOST_MINUTES = 1e6
CAUTION = 1.1  # trainings of the best networks tend to take longer than the mean


def check_minutes(minutes: float | None) -> None:
    """Refuse a time that no search can keep to; None is no bound.

    Raises:
        UsageError: It is not above zero, or years long.
    """
    if minutes is not None and not 0 < minutes < MOST_MINUTES:
        raise UsageError(f"--minutes must be above 0, got {minutes:g}")


class TimeLimit:
    """The time a search was given, and what its trainings have taken so far.

    Args:
        minutes: From now on; None is no limit.
        clock: Seconds, monotonic.
        expected_seconds: Guess at the time of one training of `fidelity` until the first has ended.
        fidelity: Of the trainings that "one" means; the times of others count in proportion. None: all are alike.
    """

    def __init__(
        self,
        minutes: float | None,
        *,
        clock: Callable[[], float],
        expected_seconds: float = 0.0,
        fidelity: Fidelity | None = None,
    ) -> None:
        self._minutes = minutes
        self._clock = clock
        self._started = clock()
        self._expected_seconds = expected_seconds
        self._unit = None if fidelity is None else relative_cost(fidelity)
        self._seconds: list[float] = []  # in trainings of one unit

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def mean_seconds(self) -> float:
        """Seconds of one training: the mean so far, or the guess."""
        return statistics.fmean(self._seconds) if self._seconds else self._expected_seconds

    def seconds_of(self, fidelity: Fidelity) -> float:
        """Seconds of one training at a fidelity, from fresh weights."""
        return self.mean_seconds * self._share(relative_cost(fidelity))

    def learn(self, evaluations: Iterable[Evaluation]) -> None:
        """Take the times of trainings that came to a score."""
        self._seconds += [
            evaluation.seconds / self._share(cost_of(evaluation))
            for evaluation in evaluations
            if evaluation.result
        ]

    def is_up(self, *, reserved_seconds: float = 0.0, fidelity: Fidelity | None = None) -> bool:
        """Tell whether a training that starts now, from fresh weights, would end too late."""
        if self._minutes is None:
            return False
        needed = self.mean_seconds if fidelity is None else self.seconds_of(fidelity)
        return needed > self._minutes * 60 - self.elapsed - reserved_seconds

    def seconds_to_confirm(
        self, num_trainings: int, *, num_slots: int, fidelity: Fidelity | None = None
    ) -> float:
        """Give the time to set aside for trainings with fresh seeds."""
        if self._minutes is None:
            return 0.0
        num_rounds = -(-num_trainings // num_slots)
        seconds = self.mean_seconds if fidelity is None else self.seconds_of(fidelity)
        return min(MOST_FOR_CONFIRMATION * self._minutes * 60, num_rounds * seconds * CAUTION)

    def _share(self, cost: float) -> float:
        return 1.0 if self._unit is None else cost / self._unit
