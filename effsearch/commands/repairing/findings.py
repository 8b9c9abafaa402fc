"""What is damaged in a run, and what is to be done about it?

Each look at a kind of file gives findings; a finding knows how it is mended. Nothing here changes a file by itself.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from effsearch.results.atomic import write_bytes_atomic
from effsearch.results.journal_file import mend_journal, read_journal_lines
from effsearch.results.json_files import read_json, write_json
from effsearch.results.ledger import Ledger, read_entries, read_ledger_lines
from effsearch.results.leftovers import find_leftovers
from effsearch.results.line_file import BACKUP_SUFFIX, Line, free_path
from effsearch.results.run_files import (
    ENVIRONMENT_FILE,
    JOURNAL_FILE,
    LEDGER_FILE,
    REPORT_FILE,
    SETTINGS_FILE,
    SPECS_FOLDER,
    TRIALS_FILE,
    read_settings,
    settings_of_last_start,
)
from effsearch.results.run_settings import differences_of
from effsearch.results.spec_files import is_changed
from effsearch.results.status import STATUS_FILE, read_status
from effsearch.results.trials import write_trials
from effsearch.space.errors import EffsearchError

DAMAGED_SUFFIX = ".damaged"  # of what is put aside


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a run."""

    file: Path
    problem: str
    action: str  # what is done about it
    mend: Callable[[], object] | None  # None where nothing can be done here


def find_in_settings(run: Path) -> Iterator[Finding]:
    """Look at `settings.json`; it comes back from the last start's record.

    One that can be read and says something else may be meant so: it is left as it is.
    """
    path = run / SETTINGS_FILE
    stored = settings_of_last_start(run)
    try:
        read_settings(run)
    except EffsearchError as error:
        problem = _problem_of(path, error) if path.exists() else "it is missing"
    else:
        differences = [] if stored is None else differences_of(stored, read_json(path))
        if differences:
            yield Finding(
                path,
                f"it is not as the last start recorded it in {ENVIRONMENT_FILE}: {'; '.join(differences)}",
                f"nothing: it may be meant so; to have it as recorded, delete {path} and repair again with --yes",
                None,
            )
        return
    if stored is None:
        yield Finding(
            path,
            problem,
            f"nothing: {ENVIRONMENT_FILE} does not have it either; bring a copy of it back",
            None,
        )
        return

    def restore() -> None:
        if path.exists():
            put_aside(path)
        write_json(path, stored)

    yield Finding(path, problem, f"restored from the last start in {ENVIRONMENT_FILE}", restore)


def find_in_json(run: Path) -> Iterator[Finding]:
    """Look at what is written anew by the next call of the run's command."""
    for name in (ENVIRONMENT_FILE, REPORT_FILE):
        path = run / name
        if path.exists():
            try:
                if name == ENVIRONMENT_FILE and not isinstance(read_json(path).get("starts", []), list):
                    raise EffsearchError(f"{path} must hold a list of starts")
                read_json(path)
            except EffsearchError as error:
                yield Finding(
                    path,
                    _problem_of(path, error),
                    "put aside; the next call of the run's command writes it",
                    partial(put_aside, path),
                )
    try:
        read_status(run)
    except EffsearchError as error:
        path = run / STATUS_FILE
        yield Finding(
            path, _problem_of(path, error), "put aside; it says nothing that lasts", partial(put_aside, path)
        )


def find_in_ledger(run: Path) -> Iterator[Finding]:
    """Look at the record itself: whole lines stay, others are kept in a file beside it."""
    path = run / LEDGER_FILE
    content, lines, wrong = read_ledger_lines(path)
    bad = sorted([*lines.damaged, *wrong], key=lambda line: line.number)
    if bad:
        words = "; ".join(f"line {line.number}: {line.fault}" for line in bad[:3])
        more = f"; and {len(bad) - 3} more lines" if len(bad) > 3 else ""
        plural = "s" if len(bad) > 1 else ""
        yield Finding(
            path,
            f"{words}{more}",
            f"{len(bad)} line{plural} put aside to {path.name}{DAMAGED_SUFFIX}, the others stay; what was on "
            f"{'them' if plural else 'it'} is trained again; the file as it was stays as {path.name}{BACKUP_SUFFIX}",
            partial(_put_lines_aside, run, content, bad),
        )
    elif lines.num_torn_lines or lines.lacks_newline:
        problem = (
            "what follows the last whole record is torn"
            if lines.num_torn_lines
            else "it lacks its last newline"
        )
        yield Finding(
            path,
            problem,
            f"cut off; the file as it was stays as {path.name}{BACKUP_SUFFIX}",
            lambda: Ledger.open(path).close(),
        )


def find_in_journal(run: Path) -> Iterator[Finding]:
    """Look at what Optuna's tools read; it is a copy of the ledger, so a damaged one is written anew from that."""
    path = run / JOURNAL_FILE
    content, lines = read_journal_lines(path)
    fault = "" if lines.damaged or not content else _replay_fault(path, content[: lines.num_whole_bytes])
    if lines.damaged or fault:
        problem = fault or f"line {lines.damaged[0].number}: {lines.damaged[0].fault}"
        yield Finding(
            path,
            problem,
            "put aside; the next call of the run's command writes it anew from the ledger",
            partial(put_aside, path),
        )
    elif lines.num_torn_lines or lines.lacks_newline:
        yield Finding(
            path,
            "what follows the last whole operation is torn",
            f"cut off; the file as it was stays as {path.name}{BACKUP_SUFFIX}",
            partial(mend_journal, path),
        )


def find_in_specs(run: Path) -> Iterator[Finding]:
    """Look at the networks that the run wrote, by their SHA-256."""
    for folder in (run / SPECS_FOLDER, run / "family"):
        for path in sorted(folder.glob("*.json")):
            if is_changed(path):
                yield Finding(
                    path,
                    "it is not as the run wrote it: its SHA-256 is another",
                    "put aside; the run's command writes it anew",
                    partial(put_aside, path),
                )


def find_half_written(run: Path) -> Iterator[Finding]:
    """Look for what a killed process left."""
    for path in find_leftovers(run):
        yield Finding(
            path, "a killed process left it half written", "deleted", partial(path.unlink, missing_ok=True)
        )


def _problem_of(path: Path, error: EffsearchError) -> str:
    """Give what is wrong with a file that the finding names, without its name and without what to do."""
    cause = error.__cause__
    text = str(cause if isinstance(cause, EffsearchError) else error)  # advice is put around what it is for
    text = (
        text.removesuffix("; delete it").removeprefix(f"no run at {path.parent}: ").removeprefix(f"{path}: ")
    )
    return text.replace(f"its {path.name}", "it").replace(str(path), "it")


def put_aside(path: Path) -> Path:
    """Rename a file, so that nobody takes it for what it was, and give its new path."""
    aside = free_path(path.with_name(path.name + DAMAGED_SUFFIX))
    os.replace(path, aside)
    return aside


def _put_lines_aside(run: Path, content: bytes, bad: list[Line]) -> None:
    path = run / LEDGER_FILE
    write_bytes_atomic(free_path(path.with_name(path.name + BACKUP_SUFFIX)), content)
    aside = b"".join(b"%s\n" % line.content for line in bad)
    write_bytes_atomic(free_path(path.with_name(path.name + DAMAGED_SUFFIX)), aside)
    numbers = {line.number for line in bad}
    kept = [line for number, line in enumerate(content.split(b"\n"), start=1) if number not in numbers]
    write_bytes_atomic(path, b"\n".join(kept))
    Ledger.open(path).close()  # cuts off what is torn at its end
    entries = read_entries(path)
    if entries:
        write_trials(run / TRIALS_FILE, entries)


def _replay_fault(path: Path, content: bytes) -> str:
    """Say why Optuna cannot replay whole lines; "" where it can."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    class Given(BaseJournalBackend):
        def read_logs(self, log_number_from: int) -> Iterator[dict[str, object]]:
            return iter([json.loads(line) for line in content.splitlines()[log_number_from:]])

        def append_logs(self, logs: list[dict[str, object]]) -> None:
            raise AssertionError("it is only read")

    try:
        JournalStorage(Given())
    except Exception as error:  # lines that make no sense raise whatever they meet
        return f"Optuna cannot replay it: {type(error).__name__}: {error}"
    return ""
