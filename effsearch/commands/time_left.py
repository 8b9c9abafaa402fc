"""How much of the time that was asked for is left to a run that goes on?"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from effsearch.commands.recorder import Recorder
from effsearch.commands.watching import Watcher

NO_MINUTES = 1e-6  # in place of none, which would be no bound
LEAST_SECONDS = 1.0  # with less than this left, nothing is begun
LEAST_SHARE = 0.5  # of a time that was planned: where what came before was late, it is still put to use


@dataclass(slots=True)
class Countdown:
    """The time that is left to a call, from when this was made."""

    seconds: float | None  # None: there is no bound
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def has_ended(self) -> bool:
        """Whether too little is left to begin anything."""
        return not self.has(LEAST_SECONDS)

    def has(self, seconds: float) -> bool:
        """Tell whether so much is left."""
        return self.seconds is None or self._left(self.seconds) >= seconds

    def some_of(self, planned_minutes: float | None) -> float | None:
        """Give the seconds for what was planned: less where little is left, but `LEAST_SHARE` of it in any case."""
        if planned_minutes is None or self.seconds is None:
            return None if planned_minutes is None else planned_minutes * 60
        return min(planned_minutes * 60, max(self._left(self.seconds), LEAST_SHARE * planned_minutes * 60))

    def _left(self, seconds: float) -> float:
        return seconds - (self.clock() - self._started)


def minutes_left(recorder: Recorder, minutes: float | None, watcher: Watcher) -> float | None:
    """Give what earlier calls have left of `minutes`, and say what they spent; None where there is no bound."""
    if minutes is None:
        return None
    spent = recorder.seconds_spent() / 60
    if spent:
        say_spent(spent, minutes, watcher)
    return max(minutes - spent, NO_MINUTES)


def say_spent(spent: float, minutes: float, watcher: Watcher) -> None:
    """Say what of a run's time earlier calls have spent; both in minutes."""
    words = f"{spent:.1f} of {minutes:g} minutes were spent by earlier calls"
    watcher.say(
        words if spent < minutes else f"{words}: nothing new is trained; to go on, give more --minutes"
    )
