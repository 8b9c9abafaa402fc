"""What lies where in a run directory, and how does a reader get at it?

Reading needs no lock: every file is replaced whole, and the ledger is read up to its last whole line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.json_files import read_json
from effsearch.results.settings_shape import SettingsOfRun, check_settings
from effsearch.space.errors import RunError, UsageError

SCHEMA_VERSION = 1

SETTINGS_FILE = "settings.json"
ENVIRONMENT_FILE = "environment.json"
STORED_SETTINGS = "settings_json"  # of the last start in there: what `SETTINGS_FILE` holds
LEDGER_FILE = "ledger.jsonl"
TRIALS_FILE = "trials.csv"
JOURNAL_FILE = "study.journal"
REPORT_FILE = "report.json"
LOCK_FILE = "run.lock"
SPECS_FOLDER = "specs"
PLOTS_FOLDER = "plots"
SPACE_FILE = "space.yaml"  # of a space that is not shipped
HISTORY_FILE = "history.csv"  # a training's epochs
TRAINING_COMMANDS = frozenset({"train", "prune"})  # whose run is of one network and has epochs
PRUNED_FILE = "pruned.safetensors"  # in checkpoints: the weights right after a pruning, before its training
PRUNING_FILE = "pruning.json"  # what a pruning came to before its training
TRAINED_SPEC = "trained"  # a training's network, in specs
BASE_SPEC = "base"  # what a scaling grows, in specs
FULL_TRAININGS_FILE = "full_trainings.json"  # of a search: what its winner came to, trained fully
LATENCY_FILE = "latency.json"  # what its networks' latencies were predicted by
LATENCY_CHECK_FILE = "latency_measured.json"  # networks of it measured whole
FAMILY_RECORD = "family.json"  # in the folder of a family
FAMILY_FILE = f"family/{FAMILY_RECORD}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSettings:
    """What a run was asked for, as its `settings.json` holds it."""

    command: str
    created: datetime  # in UTC
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The content of `settings.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "created": self.created.isoformat(),
            "settings": dict(self.settings),
        }


def is_run(run: Path) -> bool:
    """Whether a directory holds a run."""
    return (run / SETTINGS_FILE).is_file()


def read_settings(run: Path) -> StoredSettings:
    """The settings that a run was started with.

    Raises:
        UsageError: There is no run at `run`.
        RunError: Its settings cannot be read, or are not what their names say.
    """
    path = run / SETTINGS_FILE
    if not is_run(run):
        raise UsageError(f"no run at {run}: there is no {SETTINGS_FILE} in it")
    try:
        content = read_json(path)
    except RunError as error:
        if isinstance(error.__cause__, PermissionError):  # there is nothing to repair
            raise
        raise RunError(f"{error}; effsearch repair {run} brings it back where that can be done") from error
    version = content.get("schema_version")
    if version is None:
        raise UsageError(f"no run at {run}: its {SETTINGS_FILE} is not one of effsearch's")
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{path}: schema_version {version!r:.60} cannot be read, this effsearch knows {SCHEMA_VERSION}; "
            "use a newer one"
        )
    command, created, settings = (content.get(key) for key in ("command", "created", "settings"))
    if not (isinstance(command, str) and isinstance(created, str) and isinstance(settings, dict)):
        raise RunError(f"{path} must hold command, created and settings")
    try:
        moment = datetime.fromisoformat(created)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
    except ValueError as error:
        raise RunError(
            f"{path}: created must be an ISO 8601 time with its zone, got {created!r:.60}"
        ) from error
    check_settings(settings, path)
    return StoredSettings(command=command, created=moment, settings=SettingsOfRun(settings, path))


def settings_of_last_start(run: Path) -> dict[str, Any] | None:
    """Give what `settings.json` held at the last start; None where nobody kept it."""
    try:
        starts = read_json(run / ENVIRONMENT_FILE).get("starts")
    except RunError:
        return None
    if not isinstance(starts, list):
        return None
    stored = [
        start[STORED_SETTINGS] for start in starts if isinstance(start, dict) and STORED_SETTINGS in start
    ]
    return stored[-1] if stored and isinstance(stored[-1], dict) else None


def has_report(run: Path) -> bool:
    """Whether a run has come to a final result."""
    return (run / REPORT_FILE).is_file()


def read_report(run: Path) -> dict[str, Any] | None:
    """The final result of a run, None while there is none.

    Raises:
        RunError: The report cannot be read.
    """
    path = run / REPORT_FILE
    return read_json(path) if path.exists() else None
