"""What of a run does its report tell?

Settings and ledger are the record: where they cannot be read there is no report. Of the rest each may be missing,
since a run may be going on or have been cut; what cannot be read is named on the page, and the others are told.
"""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar  # Any: a JSON value

from effsearch.results.bounded_files import read_bounded
from effsearch.results.certificate import CERTIFICATE_FILES, Certificate, Judged, read_certificate
from effsearch.results.json_files import MOST_BYTES, read_json
from effsearch.results.ledger import LedgerEntry, read_entries
from effsearch.results.report.json_values import number_or_none
from effsearch.results.run_files import (
    ENVIRONMENT_FILE,
    FAMILY_FILE,
    FULL_TRAININGS_FILE,
    HISTORY_FILE,
    LEDGER_FILE,
    PRUNING_FILE,
    REPORT_FILE,
    StoredSettings,
    read_settings,
)
from effsearch.results.supernet_files import second_of, supernet_of
from effsearch.space.errors import EffsearchError, RunError

IMPORTANCE_FILE = "importance.csv"
T = TypeVar("T")


@dataclass(slots=True)
class Unread:
    """What was there and could not be read, a line for each."""

    lines: list[str]

    def attempt(self, read: Callable[[], T], otherwise: T) -> T:
        """Give what `read` gives; where it fails, note the reason once and give `otherwise`."""
        try:
            return read()
        except EffsearchError as error:
            reason = str(error)
        except OSError as error:
            reason = f"cannot read {error.filename}: {error.strerror or error}"
        if reason not in self.lines:
            self.lines.append(reason)
        return otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContents:
    """All that a run directory holds and its report tells, as it was read."""

    run: Path
    stored: StoredSettings
    entries: tuple[LedgerEntry, ...]
    result: Mapping[str, Any]  # report.json, empty while there is none
    starts: tuple[Mapping[str, Any], ...]
    certificates: tuple[Certificate, ...]
    family: Mapping[str, Any]  # family/family.json, empty where nobody scaled the winner
    full_trainings: Mapping[str, Any]  # full_trainings.json, empty where nobody trained the winner fully
    importance: tuple[Mapping[str, str], ...]  # rows of importance.csv
    history: tuple[Mapping[str, str], ...]  # rows of history.csv, a training's epochs
    pruning: Mapping[str, Any]  # pruning.json, empty of all but a pruning that has pruned
    supernet_seconds: float  # of one core, all rounds
    supernet_losses: tuple[tuple[int, float], ...]  # round and mean training loss of its replicas
    unread: Unread

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked, resolved."""
        return self.stored.settings


def read_contents(run: Path) -> RunContents:
    """Read a run; nothing in it is written, so a search may be going on there.

    Raises:
        UsageError: There is no run at `run`.
        RunError: Its settings or its ledger cannot be read.
    """
    stored = read_settings(run)
    entries = read_entries(run / LEDGER_FILE)
    unread = Unread([])
    found = [
        unread.attempt(partial(_read_sound_certificate, run, judged), None) for judged in CERTIFICATE_FILES
    ]
    return RunContents(
        run=run,
        stored=stored,
        entries=entries,
        result=unread.attempt(lambda: _read_if_there(run / REPORT_FILE), {}),
        starts=unread.attempt(lambda: _read_starts(run / ENVIRONMENT_FILE), ()),
        certificates=tuple(one for one in found if one is not None),
        family=unread.attempt(lambda: _read_if_there(run / FAMILY_FILE), {}),
        full_trainings=unread.attempt(lambda: _read_if_there(run / FULL_TRAININGS_FILE), {}),
        importance=unread.attempt(lambda: _read_rows(run / IMPORTANCE_FILE), ()),
        history=unread.attempt(lambda: _read_rows(run / HISTORY_FILE), ()),
        pruning=unread.attempt(lambda: _read_if_there(run / PRUNING_FILE), {}),
        supernet_seconds=unread.attempt(lambda: _supernet_seconds(run), 0.0),
        supernet_losses=unread.attempt(lambda: _supernet_losses(run), ()),
        unread=unread,
    )


def _read_sound_certificate(run: Path, judged: Judged) -> Certificate | None:
    """A certificate whose numbers are numbers, as all that is said of it takes for granted."""
    certificate = read_certificate(run, judged)
    if certificate is None:
        return None
    numbers: list[object] = [certificate.regret, certificate.top_regret]
    for correlation in (certificate.kendall, certificate.spearman):
        numbers += [correlation.value, correlation.low, correlation.high]
    for one in certificate.networks:
        numbers += [one.proxy_score, one.longer_accuracy, one.multiply_adds]
    if any(number_or_none(number) is None for number in numbers):
        raise RunError(f"{run / CERTIFICATE_FILES[judged]} is no certificate; run effsearch validate again")
    return certificate


def _read_if_there(path: Path) -> Mapping[str, Any]:
    return read_json(path) if path.exists() else {}


def _read_starts(path: Path) -> tuple[Mapping[str, Any], ...]:
    starts = _read_if_there(path).get("starts", [])
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise RunError(f"{path} must hold a list of starts")
    return tuple(starts)


def _read_rows(path: Path) -> tuple[Mapping[str, str], ...]:
    """Rows of a CSV by the names in its first line; a cell that is missing is ""."""
    if not path.exists():
        return ()
    try:
        rows = list(
            csv.DictReader(io.StringIO(read_bounded(path, most_bytes=MOST_BYTES).decode()), restval="")
        )
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} is no table: {error}") from error
    return tuple({str(key): str(cell) for key, cell in row.items()} for row in rows)


def _supernet_seconds(run: Path) -> float:
    try:
        return supernet_of(run).core_seconds() + second_of(run).core_seconds()
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run}: rounds.jsonl of its supernet is damaged ({error})") from error


def _supernet_losses(run: Path) -> tuple[tuple[int, float], ...]:
    losses: dict[int, list[float]] = {}
    try:
        for line in supernet_of(run).rounds():
            losses.setdefault(int(line["round"]), []).append(float(line["train_loss"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run}: rounds.jsonl of its supernet is damaged ({error})") from error
    return tuple((number, sum(some) / len(some)) for number, some in sorted(losses.items()))
