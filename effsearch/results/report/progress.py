"""How did a run get where it is, and what did its trainings come to at each price?"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # JSON for the page's script

from effsearch.results.effort import fidelity_effort
from effsearch.results.ledger import LedgerEntry
from effsearch.results.report.contents import RunContents
from effsearch.results.report.training_table import KIND_NAMES
from effsearch.results.report.wording import fidelity_words
from effsearch.results.spent import seconds_until, start_times
from effsearch.results.supernet_files import second_of, supernet_of
from effsearch.space.errors import RunError

# A check of the proxy trains longer than anything that it checks: no step of the search.
_NOT_SEARCH = frozenset({"screen", "validate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One training that came to a score."""

    minutes: float  # of work since the run's first start
    accuracy: float
    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """All trainings of one price."""

    words: str
    steps: tuple[Step, ...]  # in the order they ended
    num_failed: int
    num_networks: int  # with a score
    median_seconds: float  # of those that succeeded

    @property
    def best(self) -> Step | None:
        """The one with the highest accuracy."""
        return max(self.steps, key=lambda step: step.accuracy, default=None)

    @property
    def records(self) -> tuple[Step, ...]:
        """The steps that were better than all before them."""
        found: list[Step] = []
        for step in self.steps:
            if not found or step.accuracy > found[-1].accuracy:
                found.append(step)
        return tuple(found)


def make_progress(contents: RunContents) -> tuple[Rung, ...]:
    """Give the trainings of a search by their price, the cheapest first; none where nothing was trained."""
    entries = [entry for entry in contents.entries if entry.kind not in _NOT_SEARCH]
    minutes = contents.unread.attempt(lambda: _minutes(contents, entries), [0.0] * len(entries))
    groups: dict[str, list[tuple[LedgerEntry, float]]] = {}
    for entry, moment in zip(entries, minutes, strict=True):
        groups.setdefault(fidelity_words(entry.fidelity), []).append((entry, moment))
    ordered = sorted(groups.items(), key=lambda group: fidelity_effort(group[1][0][0].fidelity))
    return tuple(_rung(words, group) for words, group in ordered)


def progress_json(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """Give the rungs to the page's script; accuracies in per cent."""
    return [
        {
            "name": rung.words,
            "steps": [
                [round(one.minutes, 3), round(100 * one.accuracy, 4), one.name, one.kind]
                for one in rung.steps
            ],
            "records": [[round(one.minutes, 3), round(100 * one.accuracy, 4)] for one in rung.records],
        }
        for rung in rungs
        if rung.steps
    ]


def _rung(words: str, group: Sequence[tuple[LedgerEntry, float]]) -> Rung:
    scored = [(entry, minutes) for entry, minutes in group if entry.val_accuracy is not None]
    steps = [
        Step(
            minutes=minutes,
            accuracy=entry.val_accuracy or 0.0,
            name=entry.name,
            kind=KIND_NAMES.get(entry.kind, entry.kind),
        )
        for entry, minutes in scored
    ]
    return Rung(
        words=words,
        steps=tuple(sorted(steps, key=lambda step: step.minutes)),
        num_failed=len(group) - len(scored),
        num_networks=len({(entry.network_hash, entry.multiply_adds) for entry, _ in scored}),
        median_seconds=statistics.median([entry.train_seconds for entry, _ in scored]) if scored else 0.0,
    )


def _minutes(contents: RunContents, entries: Sequence[LedgerEntry]) -> list[float]:
    """When each entry was written, in minutes of work; all entries and rounds of the supernet count as work."""
    try:
        events = [datetime.fromisoformat(entry.time).timestamp() for entry in entries]
        others = [datetime.fromisoformat(entry.time).timestamp() for entry in contents.entries]
        for files in (supernet_of(contents.run), second_of(contents.run)):
            others += files.round_times()
    except (ValueError, TypeError) as error:
        raise RunError(f"{contents.run}: a time of its record cannot be read ({error})") from error
    worked = seconds_until(start_times(contents.run), [*events, *others])
    return [seconds / 60 for seconds in worked[: len(events)]]
