"""What failed, what was spent, and on what machine can it be done again?"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any  # JSON

from effsearch.results.environment import PACKAGES
from effsearch.results.ledger import LedgerEntry
from effsearch.results.operators import count_operators, operators_words
from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import mapping_of, number_or_none
from effsearch.results.report.training_table import KIND_NAMES
from effsearch.results.report.wording import fidelity_words, last_part
from effsearch.results.spent import seconds_spent

MOST_FAILURES = 200  # the table of trainings has them all
_CLI = "cli.py"  # what the command line begins with where it was started as a module
_LONGEST = 400  # characters of a setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A training that came to no score."""

    name: str
    kind: str
    training: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What trainings of one kind cost."""

    what: str
    num: int | None
    num_failed: int
    seconds: float  # of workers
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a run cost."""

    wall_seconds: float
    rows: tuple[Spent, ...]
    seconds: float  # of workers, all together
    operators: str  # on what its trainings ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One call that worked on the run."""

    time: str
    command: str  # to be given again
    folder: str
    git_commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a number needs beside it to be believed and repeated."""

    starts: tuple[Start, ...]
    machines: tuple[tuple[str, str], ...]  # of the latest start
    versions: tuple[tuple[str, str], ...]
    has_changed: bool  # between starts
    settings: tuple[tuple[str, str], ...]


def make_failures(contents: RunContents) -> tuple[Failure, ...]:
    """Give all that failed, in the order of the ledger."""
    return tuple(
        Failure(
            name=entry.name,
            kind=KIND_NAMES.get(entry.kind, entry.kind),
            training=fidelity_words(entry.fidelity),
            reason=entry.failure,
            seconds=entry.train_seconds,
        )
        for entry in contents.entries
        if entry.failure
    )


def make_spending(contents: RunContents) -> Spending:
    """Give what a run cost, by kind of work, dearest first."""
    groups: dict[str, list[LedgerEntry]] = {}
    for entry in contents.entries:
        groups.setdefault(KIND_NAMES.get(entry.kind, entry.kind), []).append(entry)
    found: list[tuple[str, int | None, int, float]] = [
        (
            kind,
            len(group),
            sum(not one.has_succeeded for one in group),
            sum(one.train_seconds for one in group),
        )
        for kind, group in groups.items()
    ]
    if contents.supernet_seconds:
        found.append(("supernet", None, 0, contents.supernet_seconds))
    total = sum(seconds for *_, seconds in found)
    return Spending(
        wall_seconds=contents.unread.attempt(lambda: seconds_spent(contents.run, contents.entries), 0.0),
        rows=tuple(
            Spent(
                what=what,
                num=num,
                num_failed=num_failed,
                seconds=seconds,
                share=seconds / total if total else 0.0,
            )
            for what, num, num_failed, seconds in sorted(found, key=lambda one: one[3], reverse=True)
        ),
        seconds=total,
        operators=operators_words(count_operators(contents.entries)),
    )


def make_provenance(contents: RunContents) -> Provenance:
    """Give commands, machine, versions and settings."""
    latest: Mapping[str, Any] = contents.starts[-1] if contents.starts else {}
    memory = number_or_none(latest.get("memory_bytes"))
    machine = {
        "processor": latest.get("cpu"),
        "cores": latest.get("cores"),
        "usable cores": latest.get("usable_cores"),
        "memory": f"{memory / 2**30:.1f} GiB" if memory else None,
        "system": latest.get("platform"),
        "host": latest.get("host"),
    }
    versions = mapping_of(latest.get("versions"))
    names = [name for name in ("python", *PACKAGES) if name in versions]
    names += [name for name in versions if name not in names]
    told = [{key: start.get(key) for key in ("versions", "cpu", "platform")} for start in contents.starts]
    return Provenance(
        starts=tuple(_start(start) for start in contents.starts),
        machines=tuple((name, str(value)) for name, value in machine.items() if value not in (None, "")),
        versions=tuple((name, str(versions[name])) for name in names),
        has_changed=any(one != told[0] for one in told),
        settings=tuple(_leaves(contents.settings)),
    )


def _start(start: Mapping[str, Any]) -> Start:
    return Start(
        time=str(start.get("time", "")),
        command=command_words(str(start.get("command_line", ""))),
        folder=str(start.get("working_directory", "")),
        git_commit=str(start.get("git_commit", "")),
    )


def command_words(command_line: str) -> str:
    """Give a stored command line as it is typed: the program by its name, whatever path it was found at."""
    try:
        first, *others = shlex.split(command_line)
    except ValueError:  # nothing, or quotes that do not close
        return command_line
    name = last_part(first)
    return shlex.join(["effsearch" if name == _CLI else name, *others])


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their dotted names, as text."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            text = str(value)
            yield f"{prefix}{name}", text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
