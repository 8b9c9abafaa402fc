"""Is there time for one more training?"""

import statistics
from collections.abc import Callable, Iterable

from effsearch.space.outcome import Evaluation

MOST_FOR_CONFIRMATION = 0.4  # share of the time set aside for fresh seeds, at the most
CAUTION = 1.1  # trainings of the best networks tend to take longer than the mean


class TimeLimit:
    """The time a search was given, and what its trainings have taken so far.

    Args:
        minutes: From now on; None is no limit.
        clock: Seconds, monotonic.
        expected_seconds: Guess at one training's time until the first has ended.
    """

    def __init__(
        self, minutes: float | None, *, clock: Callable[[], float], expected_seconds: float = 0.0
    ) -> None:
        self._minutes = minutes
        self._clock = clock
        self._started = clock()
        self._expected_seconds = expected_seconds
        self._seconds: list[float] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def mean_seconds(self) -> float:
        """Seconds of one training: the mean so far, or the guess."""
        return statistics.fmean(self._seconds) if self._seconds else self._expected_seconds

    def learn(self, evaluations: Iterable[Evaluation]) -> None:
        """Take the times of trainings that came to a score."""
        self._seconds += [evaluation.seconds for evaluation in evaluations if evaluation.result]

    def is_up(self, *, reserved_seconds: float = 0.0) -> bool:
        """Tell whether a training that starts now would end too late."""
        if self._minutes is None:
            return False
        return self.mean_seconds > self._minutes * 60 - self.elapsed - reserved_seconds

    def seconds_to_confirm(self, num_trainings: int, *, num_slots: int) -> float:
        """Give the time to set aside for trainings with fresh seeds."""
        if self._minutes is None:
            return 0.0
        num_rounds = -(-num_trainings // num_slots)
        wanted = num_rounds * self.mean_seconds * CAUTION
        return min(MOST_FOR_CONFIRMATION * self._minutes * 60, wanted)
