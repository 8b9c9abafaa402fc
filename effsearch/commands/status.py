"""effsearch status: what is a run doing, seen from another terminal?"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from effsearch.commands.recorder import SEARCH_KINDS
from effsearch.results.ledger import read_entries, torn_tail
from effsearch.results.ledger_entry import LedgerEntry
from effsearch.results.operators import count_operators
from effsearch.results.run_files import LEDGER_FILE, has_report, read_settings
from effsearch.results.status import Holder, RunStatus, read_holder, read_status

WATCH_SECONDS = 2.0
KINDS = SEARCH_KINDS | {"validate"}


def run_status(run: Path) -> dict[str, Any]:
    """Give what a run is and does, as JSON values.

    Args:
        run: Directory of the run, or a link to it.

    Raises:
        UsageError: There is no run there.
        RunError: Something in it cannot be read.
    """
    stored = read_settings(run)
    entries = [one for one in read_entries(run / LEDGER_FILE) if one.kind in KINDS]
    scored = [one for one in entries if one.has_succeeded]
    holder = read_holder(run)
    best = max(scored, key=lambda one: one.val_accuracy or 0.0, default=None)
    state = state_of(holder, is_complete=has_report(run))
    status = read_status(run) if state == "running" else None  # after a crash it may be torn
    return {
        "run": str(Path(os.path.relpath(run.resolve())) if run.is_symlink() else run),
        "command": stored.command,
        "state": state,
        "process": None if holder is None else holder.process,
        "host": None if holder is None else holder.host,
        "created": stored.created.isoformat(),
        "trained": len(scored),
        "failed": len(entries) - len(scored),
        "operators": count_operators(entries),
        "best": None if best is None else _describe(best),
        "torn": "" if state in ("running", "elsewhere") else torn_tail(run / LEDGER_FILE),
        "last": entries[-1].time if entries else None,
        **({"step": None, "workers": []} if status is None else _now(status)),
    }


def watch_status(
    run: Path,
    *,
    show: Callable[[dict[str, Any]], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show what a run does again and again while it runs, and once more when it does not; Ctrl-C ends only this.

    Raises:
        UsageError: There is no run there.
        RunError: Something in it cannot be read.
    """
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            report = run_status(run)
            show(report)
            if report["state"] != "running":
                return
            sleep(WATCH_SECONDS)


def state_of(holder: Holder | None, *, is_complete: bool) -> str:
    """Say in a word how a run stands: running, elsewhere, ended or stopped."""
    if holder is not None and holder.is_alive is not False:
        return "running" if holder.is_alive else "elsewhere"
    return "ended" if is_complete else "stopped"


def _describe(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "accuracy": entry.val_accuracy,
        "multiply_adds": entry.multiply_adds,
    }


def _now(status: RunStatus) -> dict[str, Any]:
    """Give step and workers as they are now: what runs has gone on since the file was written."""
    since = max(0.0, time.time() - status.time)
    workers = []
    for slot in status.slots:
        now = dataclasses.replace(
            slot,
            task_seconds=slot.task_seconds + since if slot.task else 0.0,
            open_seconds=slot.open_seconds + since,
        )
        workers.append(
            {
                "worker": now.slot + 1,
                "task": now.task,
                "seconds": now.task_seconds,
                "ended": now.num_ended,
                "failed": now.num_failed,
                "images_per_second": now.images_per_second,
                "busy_share": now.busy_share,
            }
        )
    return {"step": None if status.step is None else dataclasses.asdict(status.step), "workers": workers}
