"""By which latency table did a run go?"""

import json
from dataclasses import dataclass
from pathlib import Path

from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_files import LATENCY_FILE
from effsearch.space.errors import RunError
from effsearch.space.latency_table import LatencyTable, from_json, to_record


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledTable:
    """A table, and what it cost this run."""

    table: LatencyTable
    seconds: float  # that measuring took of the run's time; 0 where it was there already


def has_table(run: Path) -> bool:
    """Tell whether a run went by one."""
    return (run / LATENCY_FILE).is_file()


def write_run_table(run: Path, settled: SettledTable) -> None:
    """Keep a table in a run's directory, where there is none yet.

    Raises:
        RunError: The file cannot be written.
    """
    if not has_table(run):
        write_json(run / LATENCY_FILE, {"seconds": settled.seconds, "table": to_record(settled.table)})


def read_run_table(run: Path) -> SettledTable:
    """Read the table that a run went by, and what measuring it took of the run's time.

    Raises:
        RunError: It cannot be read.
    """
    path = run / LATENCY_FILE
    record = read_json(path)
    seconds = record.get("seconds")
    if not isinstance(seconds, int | float) or "table" not in record:
        raise RunError(f"{path} is no latency table of a run")
    return SettledTable(table=from_json(json.dumps(record["table"]), source=str(path)), seconds=seconds)
