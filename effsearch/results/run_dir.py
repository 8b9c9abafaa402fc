"""Where does a run keep what it learns, and when may it go on there?

settings.json     what was asked, command and time of creation included
environment.json  machine, versions, git commit and command line of every start
ledger.jsonl      one line per finished evaluation
trials.csv        the same as a table
specs/            one file per emitted network
plots/            figures
space.yaml        the space, where it is the user's own
report.json       the final result
latency.json      times of blocks, and latency_measured.json of whole networks, where latency is bounded
checkpoints/      weights that promoted networks go on from; they save time alone
status.json       what its workers last did; replaced all the time and never synced
run.lock          who is writing
run.log           what happened, for people; see `run_log`
"""

import contextlib
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # Any: a JSON value

from effsearch.results.atomic import write_error, write_text_atomic
from effsearch.results.environment import describe_environment
from effsearch.results.json_files import read_json, write_json
from effsearch.results.ledger import Ledger
from effsearch.results.leftovers import sweep_leftovers
from effsearch.results.newest import link_newest
from effsearch.results.owner import this_process
from effsearch.results.run_files import (
    ENVIRONMENT_FILE,
    LEDGER_FILE,
    LOCK_FILE,
    PLOTS_FOLDER,
    REPORT_FILE,
    SCHEMA_VERSION,
    SETTINGS_FILE,
    SPACE_FILE,
    SPECS_FOLDER,
    STORED_SETTINGS,
    TRIALS_FILE,
    StoredSettings,
    is_run,
    read_report,
)
from effsearch.results.run_lock import RunLock, acquire_lock
from effsearch.results.run_log import RunLog
from effsearch.results.run_settings import refuse_foreign, resumed_settings
from effsearch.results.spec_files import write_spec_file
from effsearch.space.errors import RunError


class RunDir:
    """A run directory owned by this process until `close`; made by `create_or_resume`."""

    def __init__(self, path: Path, *, stored: StoredSettings, is_resumed: bool, lock: RunLock):
        self.path = path
        self.command = stored.command
        self.created = stored.created
        self.settings = stored.settings
        self.is_resumed = is_resumed
        self.log = RunLog(path)
        self._lock = lock

    @property
    def ledger_path(self) -> Path:
        """Where the ledger is; open it with `open_ledger`."""
        return self.path / LEDGER_FILE

    @property
    def trials_path(self) -> Path:
        """Where the table of all evaluations goes."""
        return self.path / TRIALS_FILE

    @property
    def plots_path(self) -> Path:
        """The folder of figures, which the first `save_figure` makes."""
        return self.path / PLOTS_FOLDER

    def open_ledger(self) -> Ledger:
        """The run's ledger, ready for appending; see `Ledger.open`."""
        return Ledger.open(self.ledger_path)

    def write_spec(self, name: str, text: str) -> Path:
        """Write the text form of one network to `specs/`, replacing one of the same name.

        Args:
            name: For people, such as "efficientnet-b0 (phi -2.1)"; the file is named after it.
            text: What `to_json` gave.

        Raises:
            RunError: The file cannot be written.
        """
        path = self.path / SPECS_FOLDER / f"{file_name(name)}.json"
        try:
            path.parent.mkdir(
                exist_ok=True
            )  # not its parents: a run whose disk is gone is not begun elsewhere
        except OSError as error:
            raise write_error(path, error) from error
        write_spec_file(path, text)
        return path

    def write_space(self, text: str) -> None:
        """Write the file of a space of the user's own, so that the run can be explained without it.

        Raises:
            RunError: The file cannot be written.
        """
        write_text_atomic(self.path / SPACE_FILE, text)

    def write_result(self, result: Mapping[str, Any]) -> Path:
        """Write the final result to `report.json`.

        Raises:
            RunError: The file cannot be written.
        """
        path = self.path / REPORT_FILE
        write_json(path, result)
        return path

    def read_result(self) -> dict[str, Any] | None:
        """The final result, None while there is none."""
        return read_report(self.path)

    def close(self) -> None:
        """Let other processes in; closing twice is fine."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.log.end(error)
        self.close()


def create_or_resume(
    path: Path | None,
    *,
    command: str,
    settings: Mapping[str, Any],
    free_settings: frozenset[str],
    now: datetime,
    runs_root: Path = Path("runs"),
    command_line: Sequence[str] | None = None,
    is_newest: bool = True,
) -> RunDir:
    """A run directory ready for writing: a new one, or the one at `path` where it left off.

    Args:
        path: The user's `--run`, or None for a new `<runs_root>/<command>-<time>`.
        command: The command that runs, such as "baseline".
        settings: All settings after defaults, file and flags, as JSON; they may nest.
        free_settings: Names (dotted where nested) of those that change no score and may differ.
        now: The present, with its time zone; names the directory.
        runs_root: Where new runs and the `latest` links go.
        command_line: For the record, by default this process's own.
        is_newest: Whether the `latest` links are to lead to it; a check of an old run leaves them.

    Raises:
        UsageError: `path` holds something else, or a run with other settings.
        RunError: Another process owns it, or it cannot be written; nothing half-written stays behind.
    """
    assert now.tzinfo is not None, "now must carry its time zone"
    stored = StoredSettings(command=command, created=now.astimezone(UTC), settings=_as_json(settings))
    refuse_foreign(path)
    made: list[Path] = []
    lock: RunLock | None = None
    is_resumed = False
    try:
        run = _make_dated_folder(runs_root, stored, now, made) if path is None else path
        _make_folder(run, made)
        lock = acquire_lock(run / LOCK_FILE)
        is_resumed = is_run(run)
        if is_resumed:
            stored = resumed_settings(run, stored, free_settings)
        else:
            write_json(run / SETTINGS_FILE, stored.to_json())
        sweep_leftovers(run)
        _add_start(run, now, command_line, stored)
    except BaseException:
        if lock is not None:
            if not is_resumed:
                _remove_files(run / name for name in (SETTINGS_FILE, ENVIRONMENT_FILE, LOCK_FILE))
            lock.release()
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # not empty: somebody else is in it
                folder.rmdir()
        raise
    if is_newest:
        link_newest(run, command=command, runs_root=runs_root)
    directory = RunDir(run, stored=stored, is_resumed=is_resumed, lock=lock)
    words = shlex.join(sys.argv if command_line is None else command_line)
    directory.log.note(f"{'resumed' if is_resumed else 'started'} by {this_process()}: {words}")
    return directory


def file_name(name: str) -> str:
    """A file name for a network's name: "efficientnet-b0 (phi -2.1)" gives "efficientnet-b0-phi--2.1"."""
    text = re.sub(r"[^A-Za-z0-9._-]", "", re.sub(r"[\s/]+", "-", name.strip())).lstrip(".")
    assert text, f"no file can be named after {name!r}"
    return text


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    # Through text and back: tuples become lists, so that stored and given settings compare as equals.
    plain = json.loads(json.dumps(dict(settings), allow_nan=False))
    assert isinstance(plain, dict)
    return plain


def _make_dated_folder(runs_root: Path, stored: StoredSettings, now: datetime, made: list[Path]) -> Path:
    name = f"{stored.command}-{now:%Y%m%d-%H%M%S}"
    _make_folder(runs_root, made)
    for number in range(1, 1000):
        path = runs_root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(path, error) from error
        made.append(path)
        return path
    raise RunError(f"cannot write {runs_root / name}: 999 runs have that name")


def _make_folder(path: Path, made: list[Path] | None = None) -> None:
    """Make a folder and its parents, noting those made."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        if made is not None:
            made.append(folder)


def _add_start(run: Path, now: datetime, command_line: Sequence[str] | None, stored: StoredSettings) -> None:
    path = run / ENVIRONMENT_FILE
    starts = read_json(path).get("starts", []) if path.exists() else []
    if not isinstance(starts, list):
        raise RunError(
            f"{path}: starts must be a list, got {starts!r:.60}; effsearch repair {run} puts it aside"
        )
    for start in starts:  # the last one alone keeps them, so that `effsearch repair` can bring them back
        if isinstance(start, dict):
            start.pop(STORED_SETTINGS, None)
    environment = describe_environment(now=now, command_line=command_line)
    starts.append({**environment, STORED_SETTINGS: stored.to_json()})
    write_json(path, {"schema_version": SCHEMA_VERSION, "starts": starts})


def _remove_files(paths: Iterator[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
