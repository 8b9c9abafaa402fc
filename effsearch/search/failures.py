"""When have so many trainings failed that something other than the networks must be wrong?"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation

MAX_FAILURES_IN_A_ROW = 10


def describe_shared(failures: Sequence[str]) -> str:
    """Say what many failures in a row have in common."""
    start = describe_last(failures)
    (reason, number), *others = Counter(failures).most_common()
    if not others:
        return f"{start} (as all of them)"
    if number > 1:
        return f"{start} ({number} of them: {reason})"
    (kind, number), *_ = Counter(_without_numbers(failure) for failure in failures).most_common()
    if number > 1:
        which = "all" if number == len(failures) else f"{number}"
        return f"{start} ({which} of them alike: {kind})"
    return f"{start} (each in its own way)"


def _without_numbers(failure: str) -> str:
    """Give what is the same in reasons that tell of another step, size or rate each."""
    return re.sub(r"\d[\d.,e+-]*", "...", failure)


def describe_last(failures: Sequence[str]) -> str:
    """Say how many failures there were in a row, and what the last one was."""
    return f"{len(failures)} trainings in a row failed; the last: {failures[-1]}"


class FailureStreak:
    """Counts the failures since the last training that came to a score.

    Args:
        describe: Words the error, given the reasons of all failures of the streak.
    """

    def __init__(self, describe: Callable[[Sequence[str]], str] = describe_shared) -> None:
        self._describe = describe
        self._failures: list[str] = []

    def take(self, evaluation: Evaluation) -> None:
        """Take one ended training.

        Raises:
            RunError: It is the tenth in a row that failed, or a later one.
        """
        self._failures = [*self._failures, evaluation.failure] if evaluation.result is None else []
        if len(self._failures) >= MAX_FAILURES_IN_A_ROW:
            raise RunError(self._describe(self._failures))
