"""How long has been worked on a search, over all its starts?

A start counts up to the last thing that it recorded: a call that was killed counts until shortly before, one that
found nothing left to do counts nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from effsearch.results.json_files import read_json
from effsearch.results.ledger_entry import LedgerEntry
from effsearch.results.run_files import ENVIRONMENT_FILE
from effsearch.results.supernet_files import second_of, supernet_of
from effsearch.space.errors import RunError


def seconds_spent(run: Path, entries: Iterable[LedgerEntry]) -> float:
    """Give the wall time that earlier starts of a search took.

    Args:
        run: Directory of the run.
        entries: What the search has written to its ledger; what a check of its proxy wrote is none of it.

    Raises:
        RunError: The run's record of its starts, or a time of its ledger or supernet, cannot be read.
    """
    try:
        events = [datetime.fromisoformat(entry.time).timestamp() for entry in entries]
        for files in (supernet_of(run), second_of(run)):
            events += files.round_times()
    except (ValueError, TypeError) as error:
        raise RunError(f"{run}: a time of its record cannot be read ({error})") from error
    return max(seconds_until(start_times(run), events), default=0.0)


def start_times(run: Path) -> list[float]:
    """Give when a run was started, in seconds of the epoch, earliest first.

    Raises:
        RunError: The run's record of its starts cannot be read.
    """
    path = run / ENVIRONMENT_FILE
    starts = read_json(path).get("starts", []) if path.exists() else []
    if not isinstance(starts, list):
        raise RunError(f"{path} does not say when the run was started: starts must be a list")
    try:
        return sorted(datetime.fromisoformat(start["time"]).timestamp() for start in starts)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} does not say when the run was started ({error})") from error


def seconds_until(starts: Sequence[float], events: Sequence[float]) -> list[float]:
    """Give for each event how long had been worked by then: a start counts from itself to its own last event.

    Args:
        starts: Seconds of the epoch, ascending; what came before the first took no time that is known of.
        events: Seconds of the epoch, in any order.
    """
    worked = [0.0] * len(events)
    before = 0.0
    for begin, end in pairwise([*starts, float("inf")]):
        own = [index for index, event in enumerate(events) if begin <= event < end]
        for index in own:
            worked[index] = before + events[index] - begin
        before = max((worked[index] for index in own), default=before)
    return worked
