"""How much of the time that was asked for is left to a run that goes on?"""

from effsearch.commands.recorder import Recorder
from effsearch.commands.watching import Watcher

NO_MINUTES = 1e-6  # in place of none, which would be no bound


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
